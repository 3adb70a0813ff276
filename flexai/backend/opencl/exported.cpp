#include "flexai/backend/opencl/exported.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <mutex>

#include "flexai/base/log.h"

namespace flexai::backend::opencl {

constinit std::atomic<bool> g_exported_open{false};

namespace {

constinit std::mutex g_open_mu;

// Where distributions keep the loader. By absolute path, because our own file has its name.
constexpr const char* kLoaders[] = {
    "/usr/lib/x86_64-linux-gnu/libOpenCL.so.1",
    "/usr/lib/aarch64-linux-gnu/libOpenCL.so.1",
    "/usr/lib64/libOpenCL.so.1",
    "/usr/lib/libOpenCL.so.1",
    "/usr/local/lib/libOpenCL.so.1",
};

bool IsThisFile(const char* path) {
  Dl_info self;
  struct stat ours;
  struct stat theirs;
  return dladdr(reinterpret_cast<void*>(&OpenExportedNow), &self) && self.dli_fname &&
         stat(self.dli_fname, &ours) == 0 && stat(path, &theirs) == 0 &&
         ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

void* OpenLoader() {
  const char* asked = secure_getenv("FLEXAI_OPENCL_LOADER");
  if (asked && *asked) {
    void* loader = IsThisFile(asked) ? nullptr : dlopen(asked, RTLD_NOW | RTLD_LOCAL);
    if (!loader) {
      FLEXAI_LOG("opencl", kError, "cannot open FLEXAI_OPENCL_LOADER=%s: %s", asked, dlerror());
    }
    return loader;
  }
  for (const char* path : kLoaders) {
    struct stat file;
    if (stat(path, &file) != 0 || IsThisFile(path)) continue;
    if (void* loader = dlopen(path, RTLD_NOW | RTLD_LOCAL)) return loader;
    FLEXAI_LOG("opencl", kWarn, "cannot open %s: %s", path, dlerror());
  }
  return nullptr;
}

}  // namespace

void OpenExportedNow() {
  std::lock_guard<std::mutex> lock(g_open_mu);
  if (g_exported_open.load(std::memory_order_relaxed)) return;
  bool fresh = false;
  TakeDoor(intercept::DoorLevel::kOuter, &fresh);  // the first, so it is kExportedDoor
  api::Real real;
  if (void* loader = OpenLoader()) {
    for (const intercept::FnInfo& info : api::kFunctions) {
      api::AsTable(real)[info.index] = dlsym(loader, info.name);
    }
  } else {
    FLEXAI_LOG("opencl", kWarn, "no OpenCL loader on this machine; every call is refused");
  }
  OpenDoor(kExportedDoor, intercept::DoorLevel::kOuter, real);
  g_exported_open.store(true, std::memory_order_release);
}

}  // namespace flexai::backend::opencl
