// The fake OpenCL driver: platform, device, contexts, samplers, look-ups.
#include <stdlib.h>
#include <string.h>

#include "flexai/backend/opencl/fake_objects.h"
#include "opencl/resolver.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

constexpr const char* kExtensions = "cl_khr_icd cl_khr_il_program cl_khr_create_command_queue";
constexpr api::cl_uint kVersion30 = 3u << 22;

// Programs choose by type: FLEXAI_FAKE_TYPE is cpu (the default), gpu or accelerator.
uint64_t DeviceType() {
  const char* asked = getenv("FLEXAI_FAKE_TYPE");
  if (asked && strcmp(asked, "gpu") == 0) return api::CL_DEVICE_TYPE_GPU;
  if (asked && strcmp(asked, "accelerator") == 0) return api::CL_DEVICE_TYPE_ACCELERATOR;
  return api::CL_DEVICE_TYPE_CPU;
}

template <class C>
void ListPlatforms(C& call) {
  if ((call.num_entries == 0 && call.platforms) || (!call.platforms && !call.num_platforms)) {
    return Fail(call, api::CL_INVALID_VALUE);
  }
  if (call.platforms) call.platforms[0] = HandleOf<api::cl_platform_id>(ThePlatform());
  if (call.num_platforms) *call.num_platforms = 1;
}

template <class C>
bool AnswerDeviceLimits(Answer<C>& answer, int64_t question) {
  const CardConfig& config = Card::Instance().config();
  const size_t sizes[3] = {4096, 4096, 4096};
  switch (question) {
    case api::CL_DEVICE_MAX_COMPUTE_UNITS:
      return answer.Uint(config.compute_units), true;
    case api::CL_DEVICE_GLOBAL_MEM_SIZE:
      return answer.Long(config.memory_bytes), true;
    case api::CL_DEVICE_MAX_MEM_ALLOC_SIZE:
      return answer.Long(config.memory_bytes / 4), true;
    case api::CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS:
      return answer.Uint(3), true;
    case api::CL_DEVICE_MAX_WORK_GROUP_SIZE:
      return answer.Size(4096), true;
    case api::CL_DEVICE_MAX_WORK_ITEM_SIZES:
      return answer.Is(sizes), true;
    case api::CL_DEVICE_MAX_CLOCK_FREQUENCY:
      return answer.Uint(1000), true;
    case api::CL_DEVICE_ADDRESS_BITS:
      return answer.Uint(64), true;
    case api::CL_DEVICE_MEM_BASE_ADDR_ALIGN:
      return answer.Uint(8 * config.alignment), true;
    case api::CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE:
      return answer.Uint(128), true;
    case api::CL_DEVICE_MAX_PARAMETER_SIZE:
      return answer.Size(1024), true;
    case api::CL_DEVICE_LOCAL_MEM_SIZE:
    case api::CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
      return answer.Long(64 << 10), true;
    case api::CL_DEVICE_LOCAL_MEM_TYPE:
      return answer.Uint(static_cast<uint64_t>(api::CL_LOCAL)), true;
    case api::CL_DEVICE_MAX_CONSTANT_ARGS:
      return answer.Uint(8), true;
    case api::CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE:
      return answer.Uint(64), true;
    case api::CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
      return answer.Long(1 << 20), true;
    case api::CL_DEVICE_GLOBAL_MEM_CACHE_TYPE:
      return answer.Uint(static_cast<uint64_t>(api::CL_READ_WRITE_CACHE)), true;
    case api::CL_DEVICE_IMAGE2D_MAX_WIDTH:
    case api::CL_DEVICE_IMAGE2D_MAX_HEIGHT:
    case api::CL_DEVICE_IMAGE3D_MAX_WIDTH:
    case api::CL_DEVICE_IMAGE3D_MAX_HEIGHT:
    case api::CL_DEVICE_IMAGE3D_MAX_DEPTH:
    case api::CL_DEVICE_IMAGE_MAX_BUFFER_SIZE:
    case api::CL_DEVICE_IMAGE_MAX_ARRAY_SIZE:
      return answer.Size(8192), true;
    case api::CL_DEVICE_MAX_READ_IMAGE_ARGS:
    case api::CL_DEVICE_MAX_WRITE_IMAGE_ARGS:
    case api::CL_DEVICE_MAX_SAMPLERS:
      return answer.Uint(16), true;
    default:
      return false;
  }
}

template <class C>
bool AnswerDeviceText(Answer<C>& answer, int64_t question) {
  switch (question) {
    case api::CL_DEVICE_NAME:
      return answer.Text("flexai fake card"), true;
    case api::CL_DEVICE_VENDOR:
      return answer.Text("flexai"), true;
    case api::CL_DRIVER_VERSION:
      return answer.Text(FLEXAI_VERSION), true;
    case api::CL_DEVICE_PROFILE:
      return answer.Text("FULL_PROFILE"), true;
    case api::CL_DEVICE_VERSION:
      return answer.Text("OpenCL 3.0 flexai fake"), true;
    case api::CL_DEVICE_OPENCL_C_VERSION:
      return answer.Text("OpenCL C 1.2 flexai fake"), true;
    case api::CL_DEVICE_EXTENSIONS:
      return answer.Text(kExtensions), true;
    case api::CL_DEVICE_BUILT_IN_KERNELS:
    case api::CL_DEVICE_IL_VERSION:
    case api::CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED:
      return answer.Text(""), true;
    default:
      return false;
  }
}

template <class C>
void AnswerDevice(Answer<C>& answer, int64_t question) {
  if (AnswerDeviceLimits(answer, question) || AnswerDeviceText(answer, question)) return;
  switch (question) {
    case api::CL_DEVICE_TYPE:
      return answer.Long(DeviceType());
    case api::CL_DEVICE_PLATFORM:
      return answer.Handle(ThePlatform());
    case api::CL_DEVICE_PARENT_DEVICE:
      return answer.Handle(nullptr);
    case api::CL_DEVICE_NUMERIC_VERSION:
      return answer.Uint(kVersion30);
    case api::CL_DEVICE_REFERENCE_COUNT:
    case api::CL_DEVICE_AVAILABLE:
    case api::CL_DEVICE_COMPILER_AVAILABLE:
    case api::CL_DEVICE_LINKER_AVAILABLE:
    case api::CL_DEVICE_ENDIAN_LITTLE:
    case api::CL_DEVICE_IMAGE_SUPPORT:
    case api::CL_DEVICE_HOST_UNIFIED_MEMORY:
    case api::CL_DEVICE_PREFERRED_INTEROP_USER_SYNC:
      return answer.Uint(1);
    case api::CL_DEVICE_VENDOR_ID:
      return answer.Uint(0xF1E);
    case api::CL_DEVICE_QUEUE_PROPERTIES:
      return answer.Long(static_cast<uint64_t>(api::CL_QUEUE_PROFILING_ENABLE |
                                               api::CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
    case api::CL_DEVICE_EXECUTION_CAPABILITIES:
      return answer.Long(static_cast<uint64_t>(api::CL_EXEC_KERNEL));
    case api::CL_DEVICE_SINGLE_FP_CONFIG:
      return answer.Long(static_cast<uint64_t>(api::CL_FP_ROUND_TO_NEAREST | api::CL_FP_INF_NAN));
    case api::CL_DEVICE_SVM_CAPABILITIES:
      return answer.Long(static_cast<uint64_t>(api::CL_DEVICE_SVM_COARSE_GRAIN_BUFFER));
    case api::CL_DEVICE_PROFILING_TIMER_RESOLUTION:
      return answer.Size(1);
    case api::CL_DEVICE_PRINTF_BUFFER_SIZE:
      return answer.Size(1 << 20);
    case api::CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
      return answer.Size(1);
    case api::CL_DEVICE_PARTITION_MAX_SUB_DEVICES:
      return answer.Uint(0);
    default:
      break;
  }
  const bool vector_width = (question >= api::CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR &&
                             question <= api::CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE) ||
                            (question >= api::CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF &&
                             question <= api::CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF);
  if (vector_width) return answer.Uint(1);
  answer.Unknown();
}

template <class C>
Context* NewContext(C& call) {
  for (const auto* at = call.properties; at && at[0] != 0; at += 2) {
    if (at[0] != api::CL_CONTEXT_PLATFORM && at[0] != api::CL_CONTEXT_INTEROP_USER_SYNC) {
      return Fail(call, api::CL_INVALID_PROPERTY), nullptr;
    }
    if (at[0] == api::CL_CONTEXT_PLATFORM && !Live<Platform>(reinterpret_cast<void*>(at[1]))) {
      return Fail(call, api::CL_INVALID_PLATFORM), nullptr;
    }
  }
  if (!call.pfn_notify && call.user_data) return Fail(call, api::CL_INVALID_VALUE), nullptr;
  auto* context = Make<Context>();
  context->properties = ListOf(call.properties);
  Card::Instance().Start();
  Give(call, context);
  return context;
}

}  // namespace

template <>
void Run(api::ClGetPlatformIDsCall& call) {
  ListPlatforms(call);
}
template <>
void Run(api::ClIcdGetPlatformIDsKHRCall& call) {
  ListPlatforms(call);
}

template <>
void Run(api::ClGetPlatformInfoCall& call) {
  Answer answer(call);
  if (call.platform && !Live<Platform>(call.platform)) return Fail(call, api::CL_INVALID_PLATFORM);
  switch (int64_t{call.param_name}) {
    case api::CL_PLATFORM_PROFILE:
      return answer.Text("FULL_PROFILE");
    case api::CL_PLATFORM_VERSION:
      return answer.Text("OpenCL 3.0 flexai fake");
    case api::CL_PLATFORM_NAME:
      return answer.Text("flexai fake");
    case api::CL_PLATFORM_VENDOR:
      return answer.Text("flexai");
    case api::CL_PLATFORM_EXTENSIONS:
      return answer.Text(kExtensions);
    case api::CL_PLATFORM_ICD_SUFFIX_KHR:
      return answer.Text("FLEXAI");
    case api::CL_PLATFORM_NUMERIC_VERSION:
      return answer.Uint(kVersion30);
    case api::CL_PLATFORM_HOST_TIMER_RESOLUTION:
      return answer.Long(1);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(api::ClGetDeviceIDsCall& call) {
  if (call.platform && !Live<Platform>(call.platform)) return Fail(call, api::CL_INVALID_PLATFORM);
  if ((call.num_entries == 0 && call.devices) || (!call.devices && !call.num_devices)) {
    return Fail(call, api::CL_INVALID_VALUE);
  }
  const uint64_t known = api::CL_DEVICE_TYPE_DEFAULT | api::CL_DEVICE_TYPE_CPU |
                         api::CL_DEVICE_TYPE_GPU | api::CL_DEVICE_TYPE_ACCELERATOR |
                         api::CL_DEVICE_TYPE_CUSTOM;
  const uint64_t asked = call.device_type;
  if (asked != api::CL_DEVICE_TYPE_ALL && (asked == 0 || (asked & ~known) != 0)) {
    return Fail(call, api::CL_INVALID_DEVICE_TYPE);
  }
  if (!(asked & (DeviceType() | api::CL_DEVICE_TYPE_DEFAULT))) {
    if (call.num_devices) *call.num_devices = 0;
    return Fail(call, api::CL_DEVICE_NOT_FOUND);
  }
  if (call.devices) call.devices[0] = HandleOf<api::cl_device_id>(TheDevice());
  if (call.num_devices) *call.num_devices = 1;
}

template <>
void Run(api::ClGetDeviceInfoCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, api::CL_INVALID_DEVICE);
  Answer answer(call);
  AnswerDevice(answer, int64_t{call.param_name});
}

template <>
void Run(api::ClCreateSubDevicesCall& call) {
  if (!Live<Device>(call.in_device)) return Fail(call, api::CL_INVALID_DEVICE);
  Fail(call, call.properties ? api::CL_DEVICE_PARTITION_FAILED : api::CL_INVALID_VALUE);
}
template <>
void Run(api::ClCreateSubDevicesEXTCall& call) {
  if (!Live<Device>(call.in_device)) return Fail(call, api::CL_INVALID_DEVICE);
  Fail(call, api::CL_DEVICE_PARTITION_FAILED);
}

template <>
void Run(api::ClCreateContextCall& call) {
  if (call.num_devices == 0 || !call.devices) return Fail(call, api::CL_INVALID_VALUE);
  for (api::cl_uint i = 0; i < call.num_devices; ++i) {
    if (!Live<Device>(call.devices[i])) return Fail(call, api::CL_INVALID_DEVICE);
  }
  NewContext(call);
}

template <>
void Run(api::ClCreateContextFromTypeCall& call) {
  if (!(call.device_type & (DeviceType() | api::CL_DEVICE_TYPE_DEFAULT))) {
    return Fail(call, api::CL_DEVICE_NOT_FOUND);
  }
  NewContext(call);
}

template <>
void Run(api::ClGetContextInfoCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, api::CL_INVALID_CONTEXT);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case api::CL_CONTEXT_REFERENCE_COUNT:
      return answer.References(*context);
    case api::CL_CONTEXT_NUM_DEVICES:
      return answer.Uint(1);
    case api::CL_CONTEXT_DEVICES:
      return answer.Handle(TheDevice());
    case api::CL_CONTEXT_PROPERTIES:
      return answer.List(context->properties);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(api::ClSetContextDestructorCallbackCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, api::CL_INVALID_CONTEXT);
  if (!call.pfn_notify) return Fail(call, api::CL_INVALID_VALUE);
  context->at_end.push_back({call.pfn_notify, call.user_data});
}

template <>
void Run(api::ClTerminateContextKHRCall& call) {
  Fail(call, Live<Context>(call.context) ? api::CL_INVALID_OPERATION : api::CL_INVALID_CONTEXT);
}

template <>
void Run(api::ClCreateSamplerCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, api::CL_INVALID_CONTEXT);
  auto* sampler = Make<Sampler>();
  sampler->context = Ref(context);
  sampler->normalized = call.normalized_coords;
  sampler->addressing = call.addressing_mode;
  sampler->filter = call.filter_mode;
  Give(call, sampler);
}

template <>
void Run(api::ClCreateSamplerWithPropertiesCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, api::CL_INVALID_CONTEXT);
  auto* sampler = Make<Sampler>();
  sampler->context = Ref(context);
  for (const auto* at = call.sampler_properties; at && at[0] != 0; at += 2) {
    const auto value = static_cast<api::cl_uint>(at[1]);
    const auto key = static_cast<int64_t>(at[0]);
    if (key == api::CL_SAMPLER_NORMALIZED_COORDS) sampler->normalized = value;
    if (key == api::CL_SAMPLER_ADDRESSING_MODE) sampler->addressing = value;
    if (key == api::CL_SAMPLER_FILTER_MODE) sampler->filter = value;
  }
  Give(call, sampler);
}

template <>
void Run(api::ClGetSamplerInfoCall& call) {
  auto* sampler = Live<Sampler>(call.sampler);
  if (!sampler) return Fail(call, api::CL_INVALID_SAMPLER);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case api::CL_SAMPLER_REFERENCE_COUNT:
      return answer.References(*sampler);
    case api::CL_SAMPLER_CONTEXT:
      return answer.Handle(sampler->context.get());
    case api::CL_SAMPLER_NORMALIZED_COORDS:
      return answer.Is(sampler->normalized);
    case api::CL_SAMPLER_ADDRESSING_MODE:
      return answer.Is(sampler->addressing);
    case api::CL_SAMPLER_FILTER_MODE:
      return answer.Is(sampler->filter);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(api::ClUnloadCompilerCall&) {}
template <>
void Run(api::ClUnloadPlatformCompilerCall& call) {
  if (!Live<Platform>(call.platform)) Fail(call, api::CL_INVALID_PLATFORM);
}

template <>
void Run(api::ClGetHostTimerCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, api::CL_INVALID_DEVICE);
  if (!call.host_timestamp) return Fail(call, api::CL_INVALID_VALUE);
  *call.host_timestamp = static_cast<api::cl_ulong>(MonotonicNow());
}

template <>
void Run(api::ClGetDeviceAndHostTimerCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, api::CL_INVALID_DEVICE);
  if (!call.host_timestamp || !call.device_timestamp) return Fail(call, api::CL_INVALID_VALUE);
  *call.host_timestamp = static_cast<api::cl_ulong>(MonotonicNow());
  *call.device_timestamp = static_cast<api::cl_ulong>(Card::Instance().Now());
}

}  // namespace flexai::fake

namespace flexai::api::opencl {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::fake {

namespace {
// What the loader and programs look up: the ICD's own entry and the extensions that are implemented.
void* LookUp(const char* asked_of, const char* name) {
  const int index = name ? api::FindByName(asked_of, name) : -1;
  if (index < 0 || api::kFunctions[index].wire == intercept::WireClass::kRefuse) return nullptr;
  return api::kFakeFunctions[index];
}
}  // namespace

template <>
void Run(api::ClGetExtensionFunctionAddressCall& call) {
  call.result = LookUp(call.kName, call.func_name);
}
template <>
void Run(api::ClGetExtensionFunctionAddressForPlatformCall& call) {
  call.result = Live<Platform>(call.platform) ? LookUp(call.kName, call.func_name) : nullptr;
}

}  // namespace flexai::fake
