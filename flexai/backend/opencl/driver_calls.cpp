#include "flexai/backend/opencl/driver_calls.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/ioctl.h>

#include <atomic>
#include <mutex>
#include <string>

#include "flexai/backend/nvidia/import_slot.h"
#include "flexai/base/load_directly.h"
#include "flexai/base/log.h"

namespace flexai::backend::opencl {
namespace {

using IoctlFn = nvidia::ChannelFreeze::IoctlFn;

constexpr char kDriver[] = "libnvidia-opencl.so";

std::mutex g_mu;  // one stands there at a time
nvidia::ChannelFreeze* g_freeze = nullptr;
std::atomic<bool> g_ready{false};

int Ioctl(int fd, unsigned long request, void* argument) {
  // For a moment, in which threads of the driver may call already.
  if (!g_ready.load(std::memory_order_acquire)) return ioctl(fd, request, argument);
  return g_freeze->Ioctl(fd, request, argument);
}

// By the name of its file: loaders open it by different ones.
void* LoadedDriver() {
  std::string path;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        const char* slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : nullptr;
        if (!slash || strncmp(slash + 1, kDriver, sizeof(kDriver) - 1) != 0) return 0;
        *static_cast<std::string*>(out) = info->dlpi_name;
        return 1;
      },
      &path);
  // A plain dlopen may be led to us (icd.cpp).
  return path.empty() ? nullptr : LoadDirectly(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
}

IoctlFn Replace(void* driver) {
  return reinterpret_cast<IoctlFn>(
      nvidia::ReplaceImport(driver, "ioctl", reinterpret_cast<void*>(&Ioctl)));
}

}  // namespace

bool StandBehindDriver(nvidia::ChannelFreeze* freeze) {
  if (g_ready.load(std::memory_order_acquire)) return true;
  std::lock_guard<std::mutex> lock(g_mu);
  if (g_ready.load(std::memory_order_relaxed)) return true;
  // Its handle is kept: a driver that is gone could be told from a new one by nothing.
  void* const driver = LoadedDriver();
  if (!driver) return false;
  IoctlFn real = Replace(driver);
  // A loader may leave imports unbound until they are called first, and then what is there binds
  // itself, over us. So it is called, about no file.
  if (real) {
    real(-1, 0, nullptr);
    if (const IoctlFn bound = Replace(driver)) real = bound;
  }
  g_freeze = freeze;
  if (!real) FLEXAI_LOG("slice", kInfo, "the driver's calls of the kernel are not seen");
  freeze->SetReal(real ? real : [](int fd, unsigned long request, void* argument) {
    return ioctl(fd, request, argument);
  });
  g_ready.store(true, std::memory_order_release);
  return true;
}

}  // namespace flexai::backend::opencl
