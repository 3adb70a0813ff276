// Files in which a daemon keeps what the next one shall know. What is read may be anything: who
// reads checks it; what others could have written counts as nothing.
#pragma once

#include <sys/types.h>

#include <string>

#include "flexai/base/status.h"

namespace flexai::operate {

/// The file's whole text; empty where it is not a file of ours or root's that only its owner may
/// write, or is longer than `longest`. Units: bytes.
std::string ReadKept(const std::string& path, off_t longest);

/// Writes `folder`/`name`, whole or not at all; makes the folder and those that hold it.
/// Errors: kUnavailable (whatever the file system says).
Status WriteKept(const std::string& folder, const std::string& name, const std::string& text);

}  // namespace flexai::operate
