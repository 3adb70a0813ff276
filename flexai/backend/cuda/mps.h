// The vendor's own way to share a card (MPS): under it one server's context does the work of many
// processes, so nothing of one process can be told, stopped or counted.
#pragma once

#include <string>

namespace flexai::backend::cuda {

/// What shows that such a server's daemon runs on this host; empty = none is seen. Looks, but talks
/// to nobody.
std::string FindMps();

/// The folder in which this process's driver would look for that daemon.
std::string MpsFolder();

}  // namespace flexai::backend::cuda
