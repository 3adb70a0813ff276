// A driver of the made-up library "toy" that notes what it was asked: what tests put behind a
// chassis.
#pragma once

#include <string>
#include <vector>

#include "flexai/intercept/entry.h"
#include "toy/calls.h"
#include "toy/doors.h"
#include "toy/real.h"

namespace flexai::intercept {

namespace toy = ::flexai::api::toy;
using ToyChassis = SizedChassis<toy::kFunctionCount>;

/// What happened, in order; tests clear it first.
inline std::vector<std::string>& Log() {
  static std::vector<std::string> log;
  return log;
}

/// What the driver calls in the middle of toySync, as a driver calls an application's callback.
inline void (*g_toy_callback)() = nullptr;

inline toy::Real ToyDriver() {
  toy::Real real;
  real.toyAlloc = [](toy::toy_context, toy::toy_memory* memory, size_t) -> toy::toy_status {
    Log().push_back("driver alloc");
    *memory = 0x1000;
    return toy::TOY_OK;
  };
  real.toyFree = [](toy::toy_memory) -> toy::toy_status {
    Log().push_back("driver free");
    return toy::TOY_OK;
  };
  real.toyCreateContext = [](const toy::toy_property*, toy::toy_notify, void*,
                             toy::toy_status* error) -> toy::toy_context {
    Log().push_back("driver context");
    if (error) *error = toy::TOY_OK;
    return reinterpret_cast<toy::toy_context>(0x77);
  };
  real.toySync = [](toy::toy_context) {
    Log().push_back("driver sync");
    if (g_toy_callback) g_toy_callback();
  };
  real.toyVersionEXT = []() -> toy::toy_u32 { return 42; };
  return real;
}

}  // namespace flexai::intercept
