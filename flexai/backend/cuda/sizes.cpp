#include "flexai/backend/cuda/sizes.h"

#include <string.h>

#include <algorithm>

#include "flexai/backend/cuda/holdings.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

constexpr uint64_t kPitchStep = 512;
// Source: CUDA Driver API, flags of arrays and CUmemLocationType.
constexpr unsigned kSparse = 0x40;
constexpr unsigned kDeferredMapping = 0x80;
constexpr uint32_t kOnDevice = 1;
constexpr uint32_t kOnHost = 2, kOnHostNumaCurrent = 4;  // what lies between is the host's, too
// Places in structures that hold a union, on 64-bit machines. Source: cuda.h, CUmemAllocationProp,
// CUmemPoolProps and CUDA_EXTERNAL_MEMORY_HANDLE_DESC.
constexpr size_t kLocationType = 8;
constexpr size_t kLocationId = 12;
constexpr size_t kExternalSize = 24;
constexpr size_t kMapOperation = 56, kMapHandle = 64;  // of CUarrayMapInfo
constexpr uint32_t kMap = 1;                           // CUmemOperationType

template <class T>
T ReadAt(const void* base, size_t offset) {
  T value = {};
  if (base) memcpy(&value, static_cast<const char*>(base) + offset, sizeof(value));
  return value;
}

uint64_t ElementBytes(uint32_t format, uint32_t channels) {
  uint64_t one = 4;
  if (format == 0x01 || format == 0x08) one = 1;                    // 8-bit integers
  if (format == 0x02 || format == 0x09 || format == 0x10) one = 2;  // 16-bit numbers
  return one * std::max<uint32_t>(channels, 1);
}

// A guess for drivers that do not say: rows in whole tiles.
uint64_t GuessArray(const api::CUDA_ARRAY3D_DESCRIPTOR_v2& d) {
  using intercept::Times;
  const uint64_t row = RoundUp(
      Times(std::max<uint64_t>(d.Width, 1), ElementBytes(d.Format, d.NumChannels)), kPitchStep);
  const uint64_t rows = RoundUp(std::max<uint64_t>(d.Height, 1), d.Height > 1 ? 8 : 1);
  return Times(Times(row, rows), std::max<uint64_t>(d.Depth, 1));
}

template <class D>
api::CUDA_ARRAY3D_DESCRIPTOR_v2 Describe3D(const D* d) {
  if (!d) return {};
  return {d->Width, d->Height, d->Depth, d->Format, d->NumChannels, d->Flags};
}
template <class D>
api::CUDA_ARRAY3D_DESCRIPTOR_v2 Describe2D(const D* d) {
  if (!d) return {};
  return {d->Width, d->Height, 0, d->Format, d->NumChannels, 0};
}

api::CUDA_ARRAY3D_DESCRIPTOR_v2 DescriptionIn(Call& call, unsigned* levels) {
  *levels = 0;
  switch (call.info().index) {
    case api::CuArrayCreateCall::kIndex:
      return Describe2D(call.As<api::CuArrayCreateCall>().pAllocateArray);
    case api::CuArrayCreate_v2Call::kIndex:
      return Describe2D(call.As<api::CuArrayCreate_v2Call>().pAllocateArray);
    case api::CuArray3DCreateCall::kIndex:
      return Describe3D(call.As<api::CuArray3DCreateCall>().pAllocateArray);
    case api::CuArray3DCreate_v2Call::kIndex:
      return Describe3D(call.As<api::CuArray3DCreate_v2Call>().pAllocateArray);
    case api::CuMipmappedArrayCreateCall::kIndex: {
      const auto& c = call.As<api::CuMipmappedArrayCreateCall>();
      *levels = std::max(c.numMipmapLevels, 1u);
      return Describe3D(c.pMipmappedArrayDesc);
    }
    default:
      return {};
  }
}

uint64_t AskArray(const api::CUDA_ARRAY3D_DESCRIPTOR_v2& described) {
  const api::Real& real = Real();
  api::CUarray array = nullptr;
  if (!real.cuArray3DCreate_v2 || !real.cuArrayGetMemoryRequirements ||
      real.cuArray3DCreate_v2(&array, &described) != api::CUDA_SUCCESS) {
    return 0;
  }
  api::CUDA_ARRAY_MEMORY_REQUIREMENTS_v1 needs = {};
  real.cuArrayGetMemoryRequirements(&needs, array, CurrentDevice());
  real.cuArrayDestroy(array);
  return needs.size;
}

uint64_t AskMipmap(const api::CUDA_ARRAY3D_DESCRIPTOR_v2& described, unsigned levels) {
  const api::Real& real = Real();
  api::CUmipmappedArray array = nullptr;
  if (!real.cuMipmappedArrayCreate || !real.cuMipmappedArrayGetMemoryRequirements ||
      real.cuMipmappedArrayCreate(&array, &described, levels) != api::CUDA_SUCCESS) {
    return 0;
  }
  api::CUDA_ARRAY_MEMORY_REQUIREMENTS_v1 needs = {};
  real.cuMipmappedArrayGetMemoryRequirements(&needs, array, CurrentDevice());
  real.cuMipmappedArrayDestroy(array);
  return needs.size;
}

}  // namespace

uint64_t PitchedBytes(Call& call, bool after) {
  uint64_t width, height, pitch;
  if (call.info().index == api::CuMemAllocPitchCall::kIndex) {
    const auto& c = call.As<api::CuMemAllocPitchCall>();
    width = c.WidthInBytes;
    height = c.Height;
    pitch = after && c.pPitch ? *c.pPitch : 0;
  } else {
    const auto& c = call.As<api::CuMemAllocPitch_v2Call>();
    width = c.WidthInBytes;
    height = c.Height;
    pitch = after && c.pPitch ? *c.pPitch : 0;
  }
  return intercept::Times(std::max(pitch, RoundUp(width, kPitchStep)), height);
}

uint64_t ArrayBytes(Call& call) {
  unsigned levels = 0;
  api::CUDA_ARRAY3D_DESCRIPTOR_v2 described = DescriptionIn(call, &levels);
  if (described.Flags & (kSparse | kDeferredMapping)) return 0;
  const uint64_t guess = GuessArray(described);
  described.Flags |= kDeferredMapping;
  const uint64_t said = levels ? AskMipmap(described, levels) : AskArray(described);
  return said ? said : levels > 1 ? guess + guess / 2 : guess;
}

int LocationIn(const void* props) {
  const bool on_device = ReadAt<uint32_t>(props, kLocationType) == kOnDevice;
  return on_device ? ReadAt<int32_t>(props, kLocationId) : -1;
}

bool IsOnHost(const void* props) {
  const auto type = ReadAt<uint32_t>(props, kLocationType);
  return type >= kOnHost && type <= kOnHostNumaCurrent;
}

// A part of a card's memory is a place of its own, and the card's.
uint64_t PhysicalBytes(Call& call) {
  const auto& c = call.As<api::CuMemCreateCall>();
  return IsOnHost(c.prop) ? 0 : RoundUp(c.size, kBlock);
}

std::vector<uint64_t> ObjectsHeld(const Call& call) {
  std::vector<uint64_t> held;
  const auto read = [&](const auto& c) {
    for (unsigned i = 0; i < c.count; ++i) {
      const void* one = &c.mapInfoList[i];
      if (ReadAt<uint32_t>(one, kMapOperation) == kMap) {
        held.push_back(ReadAt<uint64_t>(one, kMapHandle));
      }
    }
  };
  switch (call.info().index) {
    case api::CuMemMapArrayAsyncCall::kIndex:
      read(call.As<api::CuMemMapArrayAsyncCall>());
      break;
    case api::CuMemMapArrayAsync_ptszCall::kIndex:
      read(call.As<api::CuMemMapArrayAsync_ptszCall>());
      break;
    case api::CuMulticastBindMemCall::kIndex:
      return {call.As<api::CuMulticastBindMemCall>().memHandle};
    case api::CuMulticastBindMem_v2Call::kIndex:
      return {call.As<api::CuMulticastBindMem_v2Call>().memHandle};
    case api::CuMulticastBindAddrCall::kIndex:
      return {call.As<api::CuMulticastBindAddrCall>().memptr};
    case api::CuMulticastBindAddr_v2Call::kIndex:
      return {call.As<api::CuMulticastBindAddr_v2Call>().memptr};
    default:
      break;
  }
  return held;
}

uint64_t ExternalBytes(Call& call) {
  return ReadAt<uint64_t>(call.As<api::CuImportExternalMemoryCall>().memHandleDesc, kExternalSize);
}

InContext::InContext(uint64_t context) {
  const api::Real& real = Real();
  pushed_ =
      context != 0 && real.cuCtxPushCurrent_v2 && real.cuCtxPopCurrent_v2 &&
      real.cuCtxPushCurrent_v2(reinterpret_cast<api::CUcontext>(context)) == api::CUDA_SUCCESS;
}

InContext::~InContext() {
  api::CUcontext popped = nullptr;
  if (pushed_) Real().cuCtxPopCurrent_v2(&popped);
}

uint64_t FreeOnCard() {
  const CaptureSafe safe;
  size_t free = 0, total = 0;
  const api::Real& real = Real();
  return real.cuMemGetInfo_v2 && real.cuMemGetInfo_v2(&free, &total) == api::CUDA_SUCCESS ? free
                                                                                          : 0;
}

bool FreeOnCardChanged(uint64_t before) {
  const uint64_t free = FreeOnCard();
  return free + kBlock <= before || free >= before + kBlock;
}

uint64_t CurrentContext() {
  api::CUcontext context = nullptr;
  if (!Real().cuCtxGetCurrent || Real().cuCtxGetCurrent(&context) != api::CUDA_SUCCESS) return 0;
  return reinterpret_cast<uint64_t>(context);
}

int CurrentDevice() {
  api::CUdevice_v1 device = -1;
  if (!Real().cuCtxGetDevice || Real().cuCtxGetDevice(&device) != api::CUDA_SUCCESS) return -1;
  return device;
}

int DeviceOfContext(uint64_t context) {
  if (context == 0 || context == CurrentContext()) return CurrentDevice();
  const CaptureSafe safe;
  const api::Real& real = Real();
  const auto handle = reinterpret_cast<api::CUcontext>(context);
  if (!real.cuCtxPushCurrent_v2 || !real.cuCtxPopCurrent_v2 ||
      real.cuCtxPushCurrent_v2(handle) != api::CUDA_SUCCESS) {
    return -1;
  }
  const int device = CurrentDevice();
  api::CUcontext popped = nullptr;
  real.cuCtxPopCurrent_v2(&popped);
  return device;
}

int DeviceOfStream(api::CUstream stream) {
  if (IsDefaultStream(stream)) return CurrentDevice();
  const api::Real& real = Real();
  api::CUdevice_v1 device = -1;
  if (real.cuStreamGetDevice && real.cuStreamGetDevice(stream, &device) == api::CUDA_SUCCESS) {
    return device;
  }
  api::CUcontext context = nullptr;
  if (!real.cuStreamGetCtx || real.cuStreamGetCtx(stream, &context) != api::CUDA_SUCCESS ||
      !context) {
    return -1;
  }
  return DeviceOfContext(intercept::ToWord(context));
}

bool IsCapturing(api::CUstream stream) {
  api::CUstreamCaptureStatus status = {};
  return Real().cuStreamIsCapturing &&
         Real().cuStreamIsCapturing(stream, &status) == api::CUDA_SUCCESS && status != 0;
}

CaptureSafe::CaptureSafe() {
  const auto exchange = Real().cuThreadExchangeStreamCaptureMode;
  exchanged_ = exchange && exchange(&mode_) == api::CUDA_SUCCESS;
}

CaptureSafe::~CaptureSafe() {
  if (exchanged_) Real().cuThreadExchangeStreamCaptureMode(&mode_);
}

}  // namespace flexai::backend::cuda
