// Generated from api/toy/toy.toml by tools/gen; do not edit.

#pragma once

#include <cstdint>

#include "flexai/intercept/lookup.h"

namespace flexai::api::toy {

/// The index of the function that `door` hands out for `name`; an empty `door` knows the symbols' own names.
/// -1 if there is no such row.
/// Thread: any; no lock, no allocation.
int FindByName(const char* door, const char* name);

/// The index of the function with this id; -1 if there is none.
int FindById(uint32_t id);

/// All rows that `door` may hand out for `name`, the oldest first.
intercept::DoorRows RowsAtDoor(const char* door, const char* name);

}  // namespace flexai::api::toy
