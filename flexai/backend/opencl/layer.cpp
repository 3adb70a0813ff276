// Door 1: an ICD layer. A loader that finds our path in OPENCL_LAYERS hands us its dispatch table
// and calls ours from then on. Each loader of a process gets a door of its own.
#include <string.h>

#include <algorithm>

#include "flexai/backend/opencl/doors.h"
#include "flexai/base/log.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {
namespace {

using intercept::DoorLevel;

void* g_tables[intercept::kMaxDoors][api::kSlots];

// A loader that lists us twice hands us our own entries.
bool HasOurEntries(const api::Real& real) {
  for (int door = 0; door < intercept::kMaxDoors; ++door) {
    if (reinterpret_cast<void*>(real.clCreateBuffer) ==
        EntriesAt(door)[api::ClCreateBufferCall::kIndex]) {
      return true;
    }
  }
  return false;
}

void PutLookUps(int door, void** slots, int count) {
  const int plain = api::kFunctions[api::ClGetExtensionFunctionAddressCall::kIndex].slot;
  const int platform =
      api::kFunctions[api::ClGetExtensionFunctionAddressForPlatformCall::kIndex].slot;
  if (plain < count && slots[plain]) slots[plain] = LookUpEntry(door);
  if (platform < count && slots[platform]) slots[platform] = LookUpForPlatformEntry(door);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) api::cl_int clGetLayerInfo(
    api::cl_uint param_name, size_t param_value_size, void* param_value,
    size_t* param_value_size_ret) {
  static constexpr char kName[] = "flexai";
  static constexpr api::cl_uint kVersion = static_cast<api::cl_uint>(api::CL_LAYER_API_VERSION_100);
  const void* answer = nullptr;
  size_t size = 0;
  if (param_name == api::CL_LAYER_API_VERSION) {
    answer = &kVersion;
    size = sizeof kVersion;
  } else if (param_name == api::CL_LAYER_NAME) {
    answer = kName;
    size = sizeof kName;
  } else {
    return api::CL_INVALID_VALUE;
  }
  if (param_value && param_value_size < size) return api::CL_INVALID_VALUE;
  if (param_value) memcpy(param_value, answer, size);
  if (param_value_size_ret) *param_value_size_ret = size;
  return api::CL_SUCCESS;
}

extern "C" __attribute__((visibility("default"))) api::cl_int clInitLayer(
    api::cl_uint num_entries, void* const* target_dispatch, api::cl_uint* num_entries_ret,
    void* const** layer_dispatch_ret) {
  if (!target_dispatch || !num_entries_ret || !layer_dispatch_ret) return api::CL_INVALID_VALUE;
  const int count = std::min(static_cast<int>(num_entries), api::kSlots);
  api::Real real;
  api::FromSlots(target_dispatch, count, api::AsTable(real));
  if (HasOurEntries(real)) {
    FLEXAI_LOG("opencl", kWarn, "this layer is listed twice; the second one does nothing");
    *num_entries_ret = num_entries;
    *layer_dispatch_ret = target_dispatch;
    return api::CL_SUCCESS;
  }
  bool fresh = false;
  const int door = TakeDoor(DoorLevel::kOuter, &fresh);
  if (fresh) {
    OpenDoor(door, DoorLevel::kOuter, real);
    std::copy_n(target_dispatch, count, g_tables[door]);
    api::IntoSlots(EntriesAt(door), g_tables[door], count);
    PutLookUps(door, g_tables[door], count);
  } else {
    FLEXAI_LOG("opencl", kWarn,
               "more OpenCL loaders in one process than doors; the last one is shared");
  }
  *num_entries_ret = static_cast<api::cl_uint>(count);
  *layer_dispatch_ret = g_tables[door];
  return api::CL_SUCCESS;
}

}  // namespace flexai::backend::opencl
