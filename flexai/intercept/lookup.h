// Looking up functions by the names that doors know. The rows themselves are generated
// (resolver.h).
#pragma once

#include <cstdint>

#include "flexai/intercept/call.h"

namespace flexai::intercept {

/// Says once per name and process that `name` is not in the table and reaches the driver unseen.
/// Thread: any.
void NoteUnknownName(const LibraryInfo& library, const char* name);

/// A function that a door may hand out under `name`.
struct DoorRow {
  const char* door;
  const char* name;
  int index;  // of the row
  int since;  // 1000 * major + 10 * minor of the first version that has it; 0 = all
};
struct DoorRows {
  const DoorRow* first = nullptr;
  int count = 0;
};

/// Those of `rows`, which are sorted by door and name, that `door` may hand out for `name`.
DoorRows FindDoorRows(const DoorRow* rows, int count, const char* door, const char* name);

}  // namespace flexai::intercept
