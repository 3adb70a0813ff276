// Finds processes of a tenant that use a card's driver without being attached: a loader that knows
// no layers, a driver of the program's own, an environment that was cleared. They cannot be held
// from inside, so they are named.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace flexai::operate {

/// The processes that descend from `leader`, itself included, as far as /proc tells; at most 4,096.
std::vector<pid_t> DescendantsOf(pid_t leader);

/// The first of `libraries` (file names) that `pid` has mapped, or "".
std::string MappedDriver(pid_t pid, const std::vector<std::string>& libraries);

}  // namespace flexai::operate
