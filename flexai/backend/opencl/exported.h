// Door 3: a library that takes the loader's name and opens the real loader behind it. The generated
// exports.cpp calls these; the state is doors.cpp's.
#pragma once

#include <atomic>

#include "flexai/backend/opencl/doors.h"

namespace flexai::backend::opencl {

inline constexpr int kExportedDoor = 0;

extern constinit std::atomic<bool> g_exported_open;
void OpenExportedNow();

/// Makes sure that the real loader, if there is one, stands behind the exported symbols.
inline void OpenExported() {
  if (!g_exported_open.load(std::memory_order_acquire)) OpenExportedNow();
}

}  // namespace flexai::backend::opencl
