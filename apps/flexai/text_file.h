// A whole file as text; one that is compressed is unpacked on the way.
#pragma once

#include <string>
#include <string_view>

#include "flexai/base/status.h"

namespace flexai::cli {

/// Reads plain and gzip files alike.
/// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a folder, damaged, or too large).
Result<std::string> ReadTextFile(const std::string& path);

/// Errors: as ReadTextFile.
Status WriteTextFile(const std::string& path, std::string_view text);

}  // namespace flexai::cli
