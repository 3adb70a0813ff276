// Finding functions by name, as the look-up functions of vendor libraries ask for them.
#pragma once

#include <cstdint>

#include "flexai/intercept/call.h"

namespace flexai::intercept {

/// The index of the function called `name` in `library`; -1 if the table has no such row.
/// Thread: any; no lock, no allocation.
int FindFunction(const LibraryInfo& library, const char* name);

/// Says once per name and process that `name` is not in the table and reaches the driver unseen.
/// Thread: any.
void NoteUnknownName(const LibraryInfo& library, const char* name);

}  // namespace flexai::intercept
