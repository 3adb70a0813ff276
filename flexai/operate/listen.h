// The daemon's socket: made so that exactly one daemon serves an address.
#pragma once

#include <string>

#include "flexai/base/status.h"

namespace flexai::operate {

/// Listens at `address`, a path or "@name". A path's folder is made if it is missing; a socket file
/// that a dead daemon left is replaced; `mode` is the file's.
/// Errors: kAlreadyExists (a daemon serves there); kPermissionDenied, kInternal (no socket).
Result<int> Listen(const std::string& address, unsigned mode);

/// Takes away the files that `Listen` made for `address`, when its daemon ends.
void StopListening(const std::string& address);

/// The socket that a service manager passed (LISTEN_FDS), or -1.
int InheritedSocket();

}  // namespace flexai::operate
