#include "flexai/backend/opencl/doors.h"

#include <atomic>
#include <mutex>

#include "flexai/base/log.h"
#include "flexai/intercept/lookup.h"
#include "opencl/doors.h"
#include "opencl/resolver.h"

namespace flexai::backend::opencl {

using intercept::DoorLevel;
using intercept::kMaxDoors;

constinit intercept::SizedChassis<api::kFunctionCount> g_chassis(api::kLibrary, &Start);

namespace {

constinit std::mutex g_mu;  // guards doors being taken and look-ups that bind a function
constinit int g_doors = 0;
constinit DoorLevel g_levels[kMaxDoors] = {};
constinit api::Real g_real[kMaxDoors] = {};
constinit std::atomic<const api::Real*> g_best{nullptr};
constinit DoorLevel g_best_level = DoorLevel::kInner;

template <int kDoor>
void* LookUpAt(const char* name) {
  using Entry = intercept::Entry<api::ClGetExtensionFunctionAddressCall, g_chassis, kDoor>;
  return LookUp(kDoor, api::ClGetExtensionFunctionAddressCall::kName, name, Entry::Invoke(name));
}

template <int kDoor>
void* LookUpForPlatformAt(api::cl_platform_id platform, const char* name) {
  using Call = api::ClGetExtensionFunctionAddressForPlatformCall;
  void* found = intercept::Entry<Call, g_chassis, kDoor>::Invoke(platform, name);
  return LookUp(kDoor, Call::kName, name, found);
}

// The entry of a function that a look-up found. Two drivers may each have their own `found`: each
// gets a door number of its own, because a door goes to one place.
void* BindLocked(int door, uint16_t index, void* found) {
  for (int i = 0; i < kMaxDoors; ++i) {
    const int candidate = (door + i) % kMaxDoors;
    void* next = g_chassis.Next(candidate, index);
    if (!next) g_chassis.SetForward(candidate, index, found);
    if (!next || next == found) return EntriesAt(candidate)[index];
  }
  return nullptr;
}

bool IsOurs(void* function, uint16_t index) {
  for (int door = 0; door < kMaxDoors; ++door) {
    if (EntriesAt(door)[index] == function) return true;
  }
  return false;
}

}  // namespace

const api::Real& Real() {
  static constexpr api::Real kNone = {};
  const api::Real* best = g_best.load(std::memory_order_acquire);
  return best ? *best : kNone;
}

int TakeDoor(DoorLevel level, bool* fresh) {
  std::lock_guard<std::mutex> lock(g_mu);
  *fresh = g_doors < kMaxDoors;
  if (*fresh) {
    g_levels[g_doors] = level;
    return g_doors++;
  }
  for (int door = kMaxDoors - 1; door >= 0; --door) {
    if (g_levels[door] == level) return door;
  }
  return kMaxDoors - 1;
}

void OpenDoor(int door, DoorLevel level, const api::Real& real) {
  g_real[door] = real;
  g_chassis.SetForwarder(door, level, api::AsTable(real));
  std::lock_guard<std::mutex> lock(g_mu);
  const bool better = level == DoorLevel::kOuter && g_best_level == DoorLevel::kInner;
  if (g_best.load(std::memory_order_relaxed) && !better) return;
  g_best_level = level;
  g_best.store(&g_real[door], std::memory_order_release);
}

void* const* EntriesAt(int door) {
  static_assert(kMaxDoors == 4);
  switch (door) {
    case 0:
      return api::Entries<g_chassis, 0>();
    case 1:
      return api::Entries<g_chassis, 1>();
    case 2:
      return api::Entries<g_chassis, 2>();
    default:
      return api::Entries<g_chassis, 3>();
  }
}

void* LookUp(int door, const char* asked_of, const char* name, void* found) {
  if (!found || !name) return found;
  const int index = api::FindByName(asked_of, name);
  if (index < 0) {
    intercept::NoteUnknownName(api::kLibrary, name);
    return found;
  }
  const uint16_t at = static_cast<uint16_t>(index);
  if (at == api::ClGetExtensionFunctionAddressCall::kIndex) return LookUpEntry(door);
  if (at == api::ClGetExtensionFunctionAddressForPlatformCall::kIndex) {
    return LookUpForPlatformEntry(door);
  }
  if (IsOurs(found, at)) return found;
  std::lock_guard<std::mutex> lock(g_mu);
  if (void* entry = BindLocked(door, at, found)) return entry;
  FLEXAI_LOG("opencl", kWarn, "more drivers offer '%s' than can be told apart; this one is unseen",
             name);
  return found;
}

void* LookUpEntry(int door) {
  static void* const kEntries[kMaxDoors] = {
      reinterpret_cast<void*>(&LookUpAt<0>), reinterpret_cast<void*>(&LookUpAt<1>),
      reinterpret_cast<void*>(&LookUpAt<2>), reinterpret_cast<void*>(&LookUpAt<3>)};
  return kEntries[door];
}

void* LookUpForPlatformEntry(int door) {
  static void* const kEntries[kMaxDoors] = {reinterpret_cast<void*>(&LookUpForPlatformAt<0>),
                                            reinterpret_cast<void*>(&LookUpForPlatformAt<1>),
                                            reinterpret_cast<void*>(&LookUpForPlatformAt<2>),
                                            reinterpret_cast<void*>(&LookUpForPlatformAt<3>)};
  return kEntries[door];
}

}  // namespace flexai::backend::opencl
