// The program that `flexai run` turns into: found before a slice is asked for, so that a mistyped
// name costs nothing, and executed in place, so that pid, terminal, signals and exit code are its
// own.
#pragma once

#include <string>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::cli {

/// The file that `name` means, searched as execvp does.
/// Errors: kNotFound; kPermissionDenied (found, but not executable).
Result<std::string> FindProgram(const std::string& name);

/// Becomes the program; returns only when that fails.
/// Errors: kNotFound (it, or its interpreter); kPermissionDenied (not executable).
Status Become(const std::vector<std::string>& program);

/// The words as one line, for people.
std::string OneLine(const std::vector<std::string>& program);

}  // namespace flexai::cli
