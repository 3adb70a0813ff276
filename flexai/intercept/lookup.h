// What to do about functions that a program looks up and no table knows. Finding a row by name is
// generated (resolver.h).
#pragma once

#include <cstdint>

#include "flexai/intercept/call.h"

namespace flexai::intercept {

/// Says once per name and process that `name` is not in the table and reaches the driver unseen.
/// Thread: any.
void NoteUnknownName(const LibraryInfo& library, const char* name);

}  // namespace flexai::intercept
