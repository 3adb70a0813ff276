// Text in the manner of text protobuf: fields with values or with fields in braces. Enough of it
// for scenarios; no schema, so that whoever reads the fields can name the line of what he does not
// know.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::schedule::sim {

struct Field {
  std::string name;
  std::string value;  // of a plain field, without its quotes
  bool quoted = false;
  bool block = false;  // has fields, not a value
  std::vector<Field> fields;
  size_t line = 0;  // from 1
};

/// Where a text ends to make sense.
struct TextError {
  size_t line = 0;
  std::string reason;
};

/// The fields of a text; `error` has a reason where it is broken.
std::vector<Field> ParseText(std::string_view text, TextError* error);

}  // namespace flexai::schedule::sim
