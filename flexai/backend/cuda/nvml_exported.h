// The library that takes the name of the card's management library, libnvidia-ml.so.1. The
// generated exports.cpp calls these.
#pragma once

#include <atomic>

#include "flexai/intercept/chassis.h"
#include "nvml/real.h"

namespace flexai::backend::nvml {

namespace api = ::flexai::api::nvml;

extern constinit intercept::SizedChassis<api::kFunctionCount> g_chassis;

inline constexpr int kExportedDoor = 0;

extern constinit std::atomic<bool> g_exported_open;
void OpenExportedNow();

/// Makes sure that the real library, if there is one, stands behind the exported symbols.
inline void OpenExported() {
  if (!g_exported_open.load(std::memory_order_acquire)) OpenExportedNow();
}

/// The real library's symbol of a name that has no row; null without one.
void* Passed(const char* name);

/// The real library's functions, for calls of our own.
const api::Real& Real();

/// Adds the stages; runs once, at the first call (nvml_start.cpp).
void Start(intercept::Chassis& chassis);

}  // namespace flexai::backend::nvml
