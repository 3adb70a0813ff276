// The fake OpenCL driver: platform, device, contexts, samplers, look-ups.
#include <stdlib.h>
#include <string.h>

#include "flexai/backend/nvidia/fake_cards.h"
#include "flexai/backend/opencl/fake_nvidia.h"
#include "flexai/backend/opencl/fake_objects.h"
#include "opencl/resolver.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

const char* Extensions() {
  constexpr const char* kAll =
      "cl_khr_icd cl_khr_il_program cl_khr_create_command_queue cl_khr_device_uuid";
  return IsNvidia() ? kAll : "cl_khr_icd cl_khr_il_program cl_khr_create_command_queue";
}
constexpr cl::cl_uint kVersion30 = 3u << 22;
constexpr cl::cl_uint kVersion12 = (1u << 22) | (2u << 12);

// The API's cl_name_version, which no function of the table takes.
struct NameVersion {
  NameVersion(const char* in_name, cl::cl_uint in_version) : version(in_version) {
    strncpy(name, in_name, sizeof name - 1);
  }
  cl::cl_uint version;
  char name[64] = {};
};

std::vector<NameVersion> ExtensionVersions() {
  constexpr cl::cl_uint kOne = 1u << 22;
  return {NameVersion("cl_khr_icd", kOne), NameVersion("cl_khr_il_program", kOne),
          NameVersion("cl_khr_create_command_queue", kOne)};
}

// Programs choose by type: FLEXAI_FAKE_TYPE is cpu (the default), gpu or accelerator.
uint64_t DeviceType() {
  if (IsNvidia()) return cl::CL_DEVICE_TYPE_GPU;
  const char* asked = getenv("FLEXAI_FAKE_TYPE");
  if (asked && strcmp(asked, "gpu") == 0) return cl::CL_DEVICE_TYPE_GPU;
  if (asked && strcmp(asked, "accelerator") == 0) return cl::CL_DEVICE_TYPE_ACCELERATOR;
  return cl::CL_DEVICE_TYPE_CPU;
}

template <class C>
void ListPlatforms(C& call) {
  if ((call.num_entries == 0 && call.platforms) || (!call.platforms && !call.num_platforms)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  if (call.platforms) call.platforms[0] = HandleOf<cl::cl_platform_id>(ThePlatform());
  if (call.num_platforms) *call.num_platforms = 1;
}

template <class C>
bool AnswerDeviceLimits(Answer<C>& answer, int64_t question) {
  const CardConfig& config = Card::Instance().config();
  const size_t sizes[3] = {4096, 4096, 4096};
  switch (question) {
    case cl::CL_DEVICE_MAX_COMPUTE_UNITS:
      return answer.Uint(config.compute_units), true;
    case cl::CL_DEVICE_GLOBAL_MEM_SIZE:
      return answer.Long(config.memory_bytes), true;
    case cl::CL_DEVICE_MAX_MEM_ALLOC_SIZE:
      return answer.Long(config.memory_bytes / 4), true;
    case cl::CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS:
      return answer.Uint(3), true;
    case cl::CL_DEVICE_MAX_WORK_GROUP_SIZE:
      return answer.Size(4096), true;
    case cl::CL_DEVICE_MAX_WORK_ITEM_SIZES:
      return answer.Is(sizes), true;
    case cl::CL_DEVICE_MAX_CLOCK_FREQUENCY:
      return answer.Uint(1000), true;
    case cl::CL_DEVICE_ADDRESS_BITS:
      return answer.Uint(64), true;
    case cl::CL_DEVICE_MEM_BASE_ADDR_ALIGN:
      return answer.Uint(8 * config.alignment), true;
    case cl::CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE:
      return answer.Uint(128), true;
    case cl::CL_DEVICE_MAX_PARAMETER_SIZE:
      return answer.Size(1024), true;
    case cl::CL_DEVICE_LOCAL_MEM_SIZE:
    case cl::CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
      return answer.Long(64 << 10), true;
    case cl::CL_DEVICE_LOCAL_MEM_TYPE:
      return answer.Uint(static_cast<uint64_t>(cl::CL_LOCAL)), true;
    case cl::CL_DEVICE_MAX_CONSTANT_ARGS:
      return answer.Uint(8), true;
    case cl::CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE:
      return answer.Uint(64), true;
    case cl::CL_DEVICE_GLOBAL_MEM_CACHE_SIZE:
      return answer.Long(1 << 20), true;
    case cl::CL_DEVICE_GLOBAL_MEM_CACHE_TYPE:
      return answer.Uint(static_cast<uint64_t>(cl::CL_READ_WRITE_CACHE)), true;
    case cl::CL_DEVICE_IMAGE2D_MAX_WIDTH:
    case cl::CL_DEVICE_IMAGE2D_MAX_HEIGHT:
    case cl::CL_DEVICE_IMAGE3D_MAX_WIDTH:
    case cl::CL_DEVICE_IMAGE3D_MAX_HEIGHT:
    case cl::CL_DEVICE_IMAGE3D_MAX_DEPTH:
    case cl::CL_DEVICE_IMAGE_MAX_BUFFER_SIZE:
    case cl::CL_DEVICE_IMAGE_MAX_ARRAY_SIZE:
      return answer.Size(8192), true;
    case cl::CL_DEVICE_MAX_READ_IMAGE_ARGS:
    case cl::CL_DEVICE_MAX_WRITE_IMAGE_ARGS:
    case cl::CL_DEVICE_MAX_SAMPLERS:
      return answer.Uint(16), true;
    default:
      return false;
  }
}

template <class C>
bool AnswerDeviceText(Answer<C>& answer, int64_t question) {
  switch (question) {
    case cl::CL_DEVICE_NAME:
      return answer.Text("flexai fake card"), true;
    case cl::CL_DEVICE_VENDOR:
      return answer.Text("flexai"), true;
    case cl::CL_DRIVER_VERSION:
      return answer.Text(FLEXAI_VERSION), true;
    case cl::CL_DEVICE_PROFILE:
      return answer.Text("FULL_PROFILE"), true;
    case cl::CL_DEVICE_VERSION:
      return answer.Text("OpenCL 3.0 flexai fake"), true;
    case cl::CL_DEVICE_OPENCL_C_VERSION:
      return answer.Text("OpenCL C 1.2 flexai fake"), true;
    case cl::CL_DEVICE_EXTENSIONS:
      return answer.Text(Extensions()), true;
    case cl::CL_DEVICE_BUILT_IN_KERNELS:
    case cl::CL_DEVICE_IL_VERSION:
    case cl::CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED:
      return answer.Text(""), true;
    default:
      return false;
  }
}

// Features that the card has not: their answers are zero or empty, in the size the API wants.
template <class C>
bool AnswerDeviceLacks(Answer<C>& answer, int64_t question) {
  switch (question) {
    case cl::CL_DEVICE_PARTITION_MAX_SUB_DEVICES:
    case cl::CL_DEVICE_MAX_NUM_SUB_GROUPS:
    case cl::CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS:
    case cl::CL_DEVICE_ERROR_CORRECTION_SUPPORT:
    case cl::CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT:
    case cl::CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT:
    case cl::CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT:
    case cl::CL_DEVICE_IMAGE_PITCH_ALIGNMENT:
    case cl::CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT:
    case cl::CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS:
    case cl::CL_DEVICE_PIPE_SUPPORT:
    case cl::CL_DEVICE_MAX_PIPE_ARGS:
    case cl::CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS:
    case cl::CL_DEVICE_PIPE_MAX_PACKET_SIZE:
    case cl::CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT:
    case cl::CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT:
    case cl::CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT:
    case cl::CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE:
    case cl::CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE:
    case cl::CL_DEVICE_MAX_ON_DEVICE_QUEUES:
    case cl::CL_DEVICE_MAX_ON_DEVICE_EVENTS:
      return answer.Uint(0), true;
    case cl::CL_DEVICE_PARTITION_AFFINITY_DOMAIN:
    case cl::CL_DEVICE_DOUBLE_FP_CONFIG:
    case cl::CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES:
    case cl::CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES:
      return answer.Long(0), true;
    case cl::CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES:
    case cl::CL_DEVICE_ATOMIC_FENCE_CAPABILITIES:
      return answer.Long(1), true;  // relaxed, and within a group
    case cl::CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE:
    case cl::CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE:
      return answer.Size(0), true;
    case cl::CL_DEVICE_PARTITION_PROPERTIES:
    case cl::CL_DEVICE_PARTITION_TYPE:
      return answer.Is(cl::cl_device_partition_property{0}), true;
    case cl::CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION:
    case cl::CL_DEVICE_ILS_WITH_VERSION:
    case cl::CL_DEVICE_OPENCL_C_FEATURES:
      return answer.Bytes(nullptr, 0), true;
    default:
      return false;
  }
}

template <class C>
void AnswerDevice(Answer<C>& answer, int64_t question) {
  if (AnswerDeviceLimits(answer, question) || AnswerDeviceText(answer, question) ||
      AnswerDeviceLacks(answer, question)) {
    return;
  }
  switch (question) {
    case cl::CL_DEVICE_TYPE:
      return answer.Long(DeviceType());
    case cl::CL_DEVICE_PLATFORM:
      return answer.Handle(ThePlatform());
    case cl::CL_DEVICE_PARENT_DEVICE:
      return answer.Handle(nullptr);
    case cl::CL_DEVICE_NUMERIC_VERSION:
      return answer.Uint(kVersion30);
    case cl::CL_DEVICE_REFERENCE_COUNT:
    case cl::CL_DEVICE_AVAILABLE:
    case cl::CL_DEVICE_COMPILER_AVAILABLE:
    case cl::CL_DEVICE_LINKER_AVAILABLE:
    case cl::CL_DEVICE_ENDIAN_LITTLE:
    case cl::CL_DEVICE_IMAGE_SUPPORT:
    case cl::CL_DEVICE_HOST_UNIFIED_MEMORY:
    case cl::CL_DEVICE_PREFERRED_INTEROP_USER_SYNC:
      return answer.Uint(1);
    case cl::CL_DEVICE_VENDOR_ID:
      return answer.Uint(IsNvidia() ? 0x10DE : 0xF1E);
    case cl::CL_DEVICE_UUID_KHR:
      if (!IsNvidia()) return answer.Unknown();
      return answer.Is(backend::nvidia::fake_driver::NameOfCard(0).uuid);
    case cl::CL_DEVICE_QUEUE_PROPERTIES:
      return answer.Long(static_cast<uint64_t>(cl::CL_QUEUE_PROFILING_ENABLE |
                                               cl::CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
    case cl::CL_DEVICE_EXECUTION_CAPABILITIES:
      return answer.Long(static_cast<uint64_t>(cl::CL_EXEC_KERNEL));
    case cl::CL_DEVICE_SINGLE_FP_CONFIG:
      return answer.Long(static_cast<uint64_t>(cl::CL_FP_ROUND_TO_NEAREST | cl::CL_FP_INF_NAN));
    case cl::CL_DEVICE_SVM_CAPABILITIES:
      return answer.Long(static_cast<uint64_t>(cl::CL_DEVICE_SVM_COARSE_GRAIN_BUFFER));
    case cl::CL_DEVICE_PROFILING_TIMER_RESOLUTION:
      return answer.Size(1);
    case cl::CL_DEVICE_PRINTF_BUFFER_SIZE:
      return answer.Size(1 << 20);
    case cl::CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
      return answer.Size(1);
    case cl::CL_DEVICE_EXTENSIONS_WITH_VERSION:
      return answer.List(ExtensionVersions());
    case cl::CL_DEVICE_OPENCL_C_ALL_VERSIONS:
      return answer.List(std::vector<NameVersion>{NameVersion("OpenCL C", kVersion12)});
    default:
      break;
  }
  const bool vector_width = (question >= cl::CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR &&
                             question <= cl::CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE) ||
                            (question >= cl::CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF &&
                             question <= cl::CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF);
  if (vector_width) return answer.Uint(1);
  answer.Unknown();
}

template <class C>
Context* NewContext(C& call) {
  for (const auto* at = call.properties; at && at[0] != 0; at += 2) {
    if (at[0] != cl::CL_CONTEXT_PLATFORM && at[0] != cl::CL_CONTEXT_INTEROP_USER_SYNC) {
      return Fail(call, cl::CL_INVALID_PROPERTY), nullptr;
    }
    if (at[0] == cl::CL_CONTEXT_PLATFORM && !Live<Platform>(reinterpret_cast<void*>(at[1]))) {
      return Fail(call, cl::CL_INVALID_PLATFORM), nullptr;
    }
  }
  if (!call.pfn_notify && call.user_data) return Fail(call, cl::CL_INVALID_VALUE), nullptr;
  auto* context = Make<Context>();
  context->properties = ListOf(call.properties);
  Card::Instance().Start();
  context->channels = MakeChannels();
  Give(call, context);
  return context;
}

}  // namespace

template <>
void Run(cl::ClGetPlatformIDsCall& call) {
  ListPlatforms(call);
}
template <>
void Run(cl::ClIcdGetPlatformIDsKHRCall& call) {
  ListPlatforms(call);
}

template <>
void Run(cl::ClGetPlatformInfoCall& call) {
  Answer answer(call);
  if (call.platform && !Live<Platform>(call.platform)) return Fail(call, cl::CL_INVALID_PLATFORM);
  switch (int64_t{call.param_name}) {
    case cl::CL_PLATFORM_PROFILE:
      return answer.Text("FULL_PROFILE");
    case cl::CL_PLATFORM_VERSION:
      return answer.Text("OpenCL 3.0 flexai fake");
    case cl::CL_PLATFORM_NAME:
      return answer.Text("flexai fake");
    case cl::CL_PLATFORM_VENDOR:
      return answer.Text("flexai");
    case cl::CL_PLATFORM_EXTENSIONS:
      return answer.Text(Extensions());
    case cl::CL_PLATFORM_ICD_SUFFIX_KHR:
      return answer.Text("FLEXAI");
    case cl::CL_PLATFORM_NUMERIC_VERSION:
      return answer.Uint(kVersion30);
    case cl::CL_PLATFORM_EXTENSIONS_WITH_VERSION:
      return answer.List(ExtensionVersions());
    case cl::CL_PLATFORM_HOST_TIMER_RESOLUTION:
      return answer.Long(1);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetDeviceIDsCall& call) {
  if (call.platform && !Live<Platform>(call.platform)) return Fail(call, cl::CL_INVALID_PLATFORM);
  if ((call.num_entries == 0 && call.devices) || (!call.devices && !call.num_devices)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const uint64_t known = cl::CL_DEVICE_TYPE_DEFAULT | cl::CL_DEVICE_TYPE_CPU |
                         cl::CL_DEVICE_TYPE_GPU | cl::CL_DEVICE_TYPE_ACCELERATOR |
                         cl::CL_DEVICE_TYPE_CUSTOM;
  const uint64_t asked = call.device_type;
  if (asked != cl::CL_DEVICE_TYPE_ALL && (asked == 0 || (asked & ~known) != 0)) {
    return Fail(call, cl::CL_INVALID_DEVICE_TYPE);
  }
  if (!(asked & (DeviceType() | cl::CL_DEVICE_TYPE_DEFAULT))) {
    if (call.num_devices) *call.num_devices = 0;
    return Fail(call, cl::CL_DEVICE_NOT_FOUND);
  }
  if (call.devices) call.devices[0] = HandleOf<cl::cl_device_id>(TheDevice());
  if (call.num_devices) *call.num_devices = 1;
}

template <>
void Run(cl::ClGetDeviceInfoCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE);
  Answer answer(call);
  AnswerDevice(answer, int64_t{call.param_name});
}

template <>
void Run(cl::ClCreateSubDevicesCall& call) {
  if (!Live<Device>(call.in_device)) return Fail(call, cl::CL_INVALID_DEVICE);
  Fail(call, call.properties ? cl::CL_DEVICE_PARTITION_FAILED : cl::CL_INVALID_VALUE);
}
template <>
void Run(cl::ClCreateSubDevicesEXTCall& call) {
  if (!Live<Device>(call.in_device)) return Fail(call, cl::CL_INVALID_DEVICE);
  Fail(call, cl::CL_DEVICE_PARTITION_FAILED);
}

template <>
void Run(cl::ClCreateContextCall& call) {
  if (call.num_devices == 0 || !call.devices) return Fail(call, cl::CL_INVALID_VALUE);
  for (cl::cl_uint i = 0; i < call.num_devices; ++i) {
    if (!Live<Device>(call.devices[i])) return Fail(call, cl::CL_INVALID_DEVICE);
  }
  NewContext(call);
}

template <>
void Run(cl::ClCreateContextFromTypeCall& call) {
  if (!(call.device_type & (DeviceType() | cl::CL_DEVICE_TYPE_DEFAULT))) {
    return Fail(call, cl::CL_DEVICE_NOT_FOUND);
  }
  NewContext(call);
}

template <>
void Run(cl::ClGetContextInfoCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_CONTEXT_REFERENCE_COUNT:
      return answer.References(*context);
    case cl::CL_CONTEXT_NUM_DEVICES:
      return answer.Uint(1);
    case cl::CL_CONTEXT_DEVICES:
      return answer.Handle(TheDevice());
    case cl::CL_CONTEXT_PROPERTIES:
      return answer.List(context->properties);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClSetContextDestructorCallbackCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  if (!call.pfn_notify) return Fail(call, cl::CL_INVALID_VALUE);
  context->at_end.push_back({call.pfn_notify, call.user_data});
}

template <>
void Run(cl::ClTerminateContextKHRCall& call) {
  Fail(call, Live<Context>(call.context) ? cl::CL_INVALID_OPERATION : cl::CL_INVALID_CONTEXT);
}

template <>
void Run(cl::ClCreateSamplerCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  auto* sampler = Make<Sampler>();
  sampler->context = Ref(context);
  sampler->normalized = call.normalized_coords;
  sampler->addressing = call.addressing_mode;
  sampler->filter = call.filter_mode;
  Give(call, sampler);
}

template <>
void Run(cl::ClCreateSamplerWithPropertiesCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  auto* sampler = Make<Sampler>();
  sampler->context = Ref(context);
  for (const auto* at = call.sampler_properties; at && at[0] != 0; at += 2) {
    const auto value = static_cast<cl::cl_uint>(at[1]);
    const auto key = static_cast<int64_t>(at[0]);
    if (key == cl::CL_SAMPLER_NORMALIZED_COORDS) sampler->normalized = value;
    if (key == cl::CL_SAMPLER_ADDRESSING_MODE) sampler->addressing = value;
    if (key == cl::CL_SAMPLER_FILTER_MODE) sampler->filter = value;
  }
  Give(call, sampler);
}

template <>
void Run(cl::ClGetSamplerInfoCall& call) {
  auto* sampler = Live<Sampler>(call.sampler);
  if (!sampler) return Fail(call, cl::CL_INVALID_SAMPLER);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_SAMPLER_REFERENCE_COUNT:
      return answer.References(*sampler);
    case cl::CL_SAMPLER_CONTEXT:
      return answer.Handle(sampler->context.get());
    case cl::CL_SAMPLER_NORMALIZED_COORDS:
      return answer.Is(sampler->normalized);
    case cl::CL_SAMPLER_ADDRESSING_MODE:
      return answer.Is(sampler->addressing);
    case cl::CL_SAMPLER_FILTER_MODE:
      return answer.Is(sampler->filter);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClUnloadCompilerCall&) {}
template <>
void Run(cl::ClUnloadPlatformCompilerCall& call) {
  if (!Live<Platform>(call.platform)) Fail(call, cl::CL_INVALID_PLATFORM);
}

template <>
void Run(cl::ClGetHostTimerCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE);
  if (!call.host_timestamp) return Fail(call, cl::CL_INVALID_VALUE);
  *call.host_timestamp = static_cast<cl::cl_ulong>(MonotonicNow());
}

template <>
void Run(cl::ClGetDeviceAndHostTimerCall& call) {
  if (!Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE);
  if (!call.host_timestamp || !call.device_timestamp) return Fail(call, cl::CL_INVALID_VALUE);
  *call.host_timestamp = static_cast<cl::cl_ulong>(MonotonicNow());
  *call.device_timestamp = static_cast<cl::cl_ulong>(Card::Instance().Now());
}

}  // namespace flexai::fake

namespace flexai::api::opencl {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::fake {

namespace {
// What the loader and programs look up: the ICD's own entry and the extensions that are
// implemented.
void* LookUp(const char* asked_of, const char* name) {
  const int index = name ? cl::FindByName(asked_of, name) : -1;
  if (index < 0 || cl::kFunctions[index].wire == intercept::WireClass::kRefuse) return nullptr;
  return cl::kFakeFunctions[index];
}
}  // namespace

template <>
void Run(cl::ClGetExtensionFunctionAddressCall& call) {
  call.result = LookUp(call.kName, call.func_name);
}
template <>
void Run(cl::ClGetExtensionFunctionAddressForPlatformCall& call) {
  call.result = Live<Platform>(call.platform) ? LookUp(call.kName, call.func_name) : nullptr;
}

}  // namespace flexai::fake
