// The neutral meaning of a call: the only words about a vendor's API that the floors above this one
// know. Tables under api/ give each function one of them.
#pragma once

#include <cstdint>

namespace flexai::intercept {

enum class Event : uint8_t {
  kNone,
  kDeviceList,
  kDeviceQuery,
  kContextCreate,
  kContextDestroy,
  kMemoryAlloc,
  kMemoryFree,
  kMemoryHold,  // what exists is held once more, or an object will take other memory than before
  kMemoryInfo,
  kCopy,
  kModuleLoad,
  kLaunch,
  kLaunchGraph,  // a launch for which the driver may take memory
  kStreamCreate,
  kStreamDestroy,
  kSync,
  kCount
};

/// The event as tables and people write it: "memory.alloc".
constexpr const char* EventName(Event event) {
  constexpr const char* kNames[] = {
      "none",         "device.list", "device.query", "context.create", "context.destroy",
      "memory.alloc", "memory.free", "memory.hold",  "memory.info",    "copy",
      "module.load",  "launch",      "launch.graph", "stream.create",  "stream.destroy",
      "sync"};
  static_assert(sizeof kNames / sizeof kNames[0] == static_cast<int>(Event::kCount));
  return event < Event::kCount ? kNames[static_cast<int>(event)] : "unknown";
}

}  // namespace flexai::intercept
