// Which function the driver's look-up means by a name, a version and a kind of stream.
#pragma once

#include <cstdint>

namespace flexai::backend::cuda {

/// The row that the driver's `found` is, for a look-up of `symbol` with these arguments; -1 if no
/// row is. A function of the driver that is also exported is known by its address; others by what
/// the table says of versions and streams. Units:  version as cuda.h counts, 12040 for 12.4.
int RowOfLookUp(const char* symbol, int version, uint64_t flags, const void* found,
                void* const* driver);

/// Whether the look-up knows the name, whatever the version.
bool IsLookedUp(const char* symbol);

}  // namespace flexai::backend::cuda
