// Generated from api/toy/toy.toml by tools/gen; do not edit.

#pragma once

#include "flexai/intercept/entry.h"
#include "toy/calls.h"

namespace flexai::api::toy {

/// Our entry of each function, by index, for one door of one chassis.
template <auto& kChassis, int kDoor>
void* const* Entries() {
  static void* const kEntries[kFunctionCount] = {
      reinterpret_cast<void*>(&intercept::Entry<ToyListCardsCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyAskCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyCreateContextCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyAllocCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyFreeCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyCopyRectCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyLoadCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyLaunchCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToySyncCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyMapCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyLookUpCall, kChassis, kDoor>::Invoke),
      reinterpret_cast<void*>(&intercept::Entry<ToyVersionEXTCall, kChassis, kDoor>::Invoke),
  };
  return kEntries;
}

/// Words in the vendor's dispatch table.
inline constexpr int kSlots = 8;

/// Reads a dispatch table of `slots` words into a table by index; null where it has no such slot.
inline void FromSlots(void* const* slots, int count, void** by_index) {
  for (const intercept::FnInfo& info : kFunctions) {
    by_index[info.index] = info.slot >= 0 && info.slot < count ? slots[info.slot] : nullptr;
  }
}

/// Puts our entries into a dispatch table, wherever it has a function to stand in for.
inline void IntoSlots(void* const* by_index, void** slots, int count) {
  for (const intercept::FnInfo& info : kFunctions) {
    if (info.slot < 0 || info.slot >= count || !slots[info.slot]) continue;
    slots[info.slot] = by_index[info.index];
  }
}

}  // namespace flexai::api::toy
