// The library that takes the driver's name, libcuda.so.1, and opens the real one behind it. The
// generated exports.cpp calls these. Here also: the chassis, and the driver for calls of our own.
#pragma once

#include <atomic>

#include "cuda/real.h"
#include "flexai/intercept/chassis.h"

namespace flexai::backend::cuda {

namespace api = ::flexai::api::cuda;

extern constinit intercept::SizedChassis<api::kFunctionCount> g_chassis;

inline constexpr int kExportedDoor = 0;

extern constinit std::atomic<bool> g_exported_open;
void OpenExportedNow();

/// Makes sure that the real driver, if there is one, stands behind the exported symbols.
inline void OpenExported() {
  if (!g_exported_open.load(std::memory_order_acquire)) OpenExportedNow();
}

/// The real driver's symbol of a name that has no row; null without one.
void* Passed(const char* name);

/// The real driver's library, as dlopen gave it; null without one.
void* Driver();

/// The driver's functions, for calls of our own; null are those that it lacks. From a thread of our
/// own, hold an `intercept::OwnCalls` around calls.
const api::Real& Real();

/// Our entry of each function, by index.
void* const* ExportedEntries();

/// Adds the stages; runs once, at the first call (start.cpp).
void Start(intercept::Chassis& chassis);

}  // namespace flexai::backend::cuda
