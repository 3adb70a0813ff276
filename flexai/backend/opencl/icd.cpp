// Door 2: an ICD in the driver's place. A loader opens us as it would the driver; we open the
// driver (the one that it asked for, where a preloaded library led it here, or FLEXAI_OPENCL_ICD)
// and patch its dispatch table in place, so that every loader, a static
// one too, enters here.
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "flexai/backend/opencl/doors.h"
#include "flexai/base/load_directly.h"
#include "flexai/base/log.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {
namespace {

using intercept::DoorLevel;

constexpr const char* kDefaultDriver = "libpocl.so.2";
// A preloaded library's (backend/cuda/preload.cpp).
constexpr const char* kAskedFor = "FlexaiAskedOpenClDriver";
constexpr int kMostPlatforms = 16;

// Whether `address` lies in code of a loaded library. A dispatch table has no length, and drivers
// of older versions have shorter ones: what follows them is no function.
bool IsCode(void* address) {
  const auto look = [](dl_phdr_info* library, size_t, void* wanted) {
    const uintptr_t at = *static_cast<uintptr_t*>(wanted);
    for (int i = 0; i < library->dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = library->dlpi_phdr[i];
      const uintptr_t begin = library->dlpi_addr + segment.p_vaddr;
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) && at >= begin &&
          at < begin + segment.p_memsz) {
        return 1;
      }
    }
    return 0;
  };
  uintptr_t wanted = reinterpret_cast<uintptr_t>(address);
  return dl_iterate_phdr(look, &wanted) != 0;
}

int SlotsOf(void* const* table) {
  int count = 0;
  while (count < api::kSlots && (!table[count] || IsCode(table[count]))) ++count;
  return count;
}

bool MakeWritable(void* begin, size_t bytes) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = reinterpret_cast<uintptr_t>(begin) & ~(page - 1);
  const uintptr_t to = (reinterpret_cast<uintptr_t>(begin) + bytes + page - 1) & ~(page - 1);
  // The pages stay writable: whether they were before is not worth reading /proc for.
  return mprotect(reinterpret_cast<void*>(from), to - from, PROT_READ | PROT_WRITE) == 0;
}

using PlatformIds = decltype(api::Real::clIcdGetPlatformIDsKHR);
using ExtensionAddress = decltype(api::Real::clGetExtensionFunctionAddress);

// Puts our entries into one driver table; the door number, or -1.
int Patch(void** table, PlatformIds ids, ExtensionAddress extension) {
  const int count = SlotsOf(table);
  api::Real real;
  api::FromSlots(table, count, api::AsTable(real));
  real.clIcdGetPlatformIDsKHR = ids;
  if (!real.clGetExtensionFunctionAddress) real.clGetExtensionFunctionAddress = extension;
  bool fresh = false;
  const int door = TakeDoor(DoorLevel::kInner, &fresh);
  if (!fresh || !MakeWritable(table, static_cast<size_t>(count) * sizeof(void*))) return -1;
  OpenDoor(door, DoorLevel::kInner, real);
  api::IntoSlots(EntriesAt(door), table, count);
  const int plain = api::kFunctions[api::ClGetExtensionFunctionAddressCall::kIndex].slot;
  const int platform =
      api::kFunctions[api::ClGetExtensionFunctionAddressForPlatformCall::kIndex].slot;
  if (plain < count && table[plain]) table[plain] = LookUpEntry(door);
  if (platform < count && table[platform]) table[platform] = LookUpForPlatformEntry(door);
  return door;
}

// The door in front of the driver's first platform; -1 if the driver cannot be had or cannot be
// patched, in which case it is not offered at all: a driver that we do not stand in front of holds
// no limit.
int WrapDriver() {
  const auto* led = static_cast<const char*>(dlsym(RTLD_DEFAULT, kAskedFor));
  const char* asked = led && *led ? led : secure_getenv("FLEXAI_OPENCL_ICD");
  const char* path = asked && *asked ? asked : kDefaultDriver;
  // A plain dlopen would be led to us again.
  void* driver = LoadDirectly(path, RTLD_NOW | RTLD_LOCAL);
  if (!driver) {
    FLEXAI_LOG("opencl", kError, "cannot open the OpenCL driver %s: %s", path, dlerror());
    return -1;
  }
  // Before the driver's first call of the kernel, in which its objects begin.
  g_chassis.Start();
  const auto extension =
      reinterpret_cast<ExtensionAddress>(dlsym(driver, "clGetExtensionFunctionAddress"));
  auto ids = reinterpret_cast<PlatformIds>(dlsym(driver, "clIcdGetPlatformIDsKHR"));
  if (!ids && extension) ids = reinterpret_cast<PlatformIds>(extension("clIcdGetPlatformIDsKHR"));
  api::cl_platform_id platforms[kMostPlatforms] = {};
  api::cl_uint count = 0;
  if (!ids || !extension || ids(kMostPlatforms, platforms, &count) != api::CL_SUCCESS) {
    FLEXAI_LOG("opencl", kError, "%s is no OpenCL driver, or has no platform", path);
    return -1;
  }
  int first = -1;
  std::vector<void**> patched;
  for (api::cl_uint i = 0; i < count && i < kMostPlatforms; ++i) {
    void** table = *reinterpret_cast<void***>(platforms[i]);
    bool seen = false;
    for (void** other : patched) seen = seen || other == table;
    if (seen) continue;
    const int door = Patch(table, ids, extension);
    if (door < 0) {
      FLEXAI_LOG("opencl", kError, "cannot stand in front of %s; it is not offered", path);
      return -1;
    }
    patched.push_back(table);
    if (first < 0) first = door;
  }
  return first;
}

int DriverDoor() {
  static const int door = WrapDriver();
  return door;
}

template <class C>
typename C::Signature* EntryOf(int door) {
  return reinterpret_cast<typename C::Signature*>(EntriesAt(door)[C::kIndex]);
}

}  // namespace

#define FLEXAI_EXPORT extern "C" __attribute__((visibility("default")))

FLEXAI_EXPORT api::cl_int clIcdGetPlatformIDsKHR(api::cl_uint num_entries,
                                                 api::cl_platform_id* platforms,
                                                 api::cl_uint* num_platforms) {
  const int door = DriverDoor();
  if (door < 0) return static_cast<api::cl_int>(api::CL_PLATFORM_NOT_FOUND_KHR);
  return EntryOf<api::ClIcdGetPlatformIDsKHRCall>(door)(num_entries, platforms, num_platforms);
}

FLEXAI_EXPORT api::cl_int clGetPlatformInfo(api::cl_platform_id platform,
                                            api::cl_platform_info param_name,
                                            size_t param_value_size, void* param_value,
                                            size_t* param_value_size_ret) {
  const int door = DriverDoor();
  if (door < 0) return static_cast<api::cl_int>(api::CL_PLATFORM_NOT_FOUND_KHR);
  return EntryOf<api::ClGetPlatformInfoCall>(door)(platform, param_name, param_value_size,
                                                   param_value, param_value_size_ret);
}

FLEXAI_EXPORT void* clGetExtensionFunctionAddress(const char* func_name) {
  if (!func_name) return nullptr;
  if (strcmp(func_name, "clIcdGetPlatformIDsKHR") == 0) {
    return reinterpret_cast<void*>(&clIcdGetPlatformIDsKHR);
  }
  if (strcmp(func_name, "clGetPlatformInfo") == 0) {
    return reinterpret_cast<void*>(&clGetPlatformInfo);
  }
  const int door = DriverDoor();
  if (door < 0) return nullptr;
  using Signature = api::ClGetExtensionFunctionAddressCall::Signature;
  return reinterpret_cast<Signature*>(LookUpEntry(door))(func_name);
}

}  // namespace flexai::backend::opencl
