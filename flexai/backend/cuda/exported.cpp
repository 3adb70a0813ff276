#include "flexai/backend/cuda/exported.h"

#include <dlfcn.h>

#include <mutex>

#include "cuda/doors.h"
#include "flexai/backend/cuda/open_real.h"

namespace flexai::backend::cuda {

constinit intercept::SizedChassis<api::kFunctionCount> g_chassis(api::kLibrary, &Start);
constinit std::atomic<bool> g_exported_open{false};

namespace {

constinit std::mutex g_open_mu;  // guards what follows while it is opened
constinit api::Real g_real = {};
constinit void* g_driver = nullptr;

}  // namespace

void OpenExportedNow() {
  std::lock_guard<std::mutex> lock(g_open_mu);
  if (g_exported_open.load(std::memory_order_relaxed)) return;
  g_driver = OpenReal("libcuda.so.1", "FLEXAI_CUDA_DRIVER",
                      reinterpret_cast<const void*>(&OpenExportedNow));
  if (g_driver) {
    for (const intercept::FnInfo& info : api::kFunctions) {
      api::AsTable(g_real)[info.index] = dlsym(g_driver, info.name);
    }
  }
  g_chassis.SetForwarder(kExportedDoor, intercept::DoorLevel::kOuter, api::AsTable(g_real));
  g_exported_open.store(true, std::memory_order_release);
}

void* Passed(const char* name) {
  OpenExported();
  return g_driver ? dlsym(g_driver, name) : nullptr;
}

void* Driver() { return g_driver; }

const api::Real& Real() { return g_real; }

void* const* ExportedEntries() { return api::Entries<g_chassis, kExportedDoor>(); }

}  // namespace flexai::backend::cuda
