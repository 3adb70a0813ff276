// A whole file as text, unpacked on the way if it is compressed.
#pragma once

#include <string>

#include "flexai/base/status.h"

namespace flexai::cli {

/// Reads plain and gzip files alike.
/// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a folder, damaged, or too large).
Result<std::string> ReadTextFile(const std::string& path);

}  // namespace flexai::cli
