// A driver of its own shared library, for the ICD door's test: one platform, a dispatch table that
// is shorter than today's, and behind the table words that must stay as they are.
#include <string.h>

#include "opencl/calls.h"

namespace flexai::backend::opencl {
namespace {

namespace api = ::flexai::api::opencl;

constexpr int kOldSlots = 73;

struct {
  void* slots[kOldSlots];
  uint64_t behind[8];
} g_table = {{}, {1, 2, 3, 4, 5, 6, 7, 8}};

void** g_platform = g_table.slots;
bool g_filled = false;

api::cl_int GetPlatformInfo(api::cl_platform_id, api::cl_platform_info, size_t, void*, size_t*) {
  return 17;
}

api::cl_int Flush(api::cl_command_queue) { return 18; }

api::cl_int GetPlatformIds(api::cl_uint room, api::cl_platform_id* platforms, api::cl_uint* count) {
  if (!g_filled) {
    g_table.slots[api::kFunctions[api::ClGetPlatformInfoCall::kIndex].slot] =
        reinterpret_cast<void*>(&GetPlatformInfo);
    g_table.slots[api::kFunctions[api::ClFlushCall::kIndex].slot] = reinterpret_cast<void*>(&Flush);
    g_filled = true;
  }
  if (platforms && room > 0) platforms[0] = reinterpret_cast<api::cl_platform_id>(&g_platform);
  if (count) *count = 1;
  return api::CL_SUCCESS;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void* clGetExtensionFunctionAddress(
    const char* name) {
  if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) return reinterpret_cast<void*>(&GetPlatformIds);
  return nullptr;
}

}  // namespace flexai::backend::opencl
