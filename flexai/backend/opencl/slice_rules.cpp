#include "flexai/backend/opencl/slice_rules.h"

#include <string.h>

#include <algorithm>

#include "flexai/backend/opencl/doors.h"
#include "flexai/backend/opencl/driver_calls.h"
#include "flexai/backend/opencl/own_devices.h"

namespace flexai::backend::opencl {

using intercept::Call;

namespace {

uint64_t Channels(api::cl_uint order) {
  switch (order) {
    case 0x10B3:  // RG
    case 0x10B4:  // RA
    case 0x10BB:  // RGx
      return 2;
    case 0x10B8:  // RGB
    case 0x10BC:  // RGBx
    case 0x10BF:  // sRGB
      return 3;
    case 0x10B5:  // RGBA
    case 0x10B6:  // BGRA
    case 0x10B7:  // ARGB
    case 0x10C0:  // sRGBx
    case 0x10C1:  // sRGBA
    case 0x10C2:  // sBGRA
    case 0x10C3:  // ABGR
      return 4;
    default:
      return 1;
  }
}

// Bytes of one pixel. Packed types hold all channels in one number.
uint64_t PixelSize(const api::cl_image_format& format) {
  switch (format.image_channel_data_type) {
    case 0x10D4:  // UNORM_SHORT_565
    case 0x10D5:  // UNORM_SHORT_555
      return 2;
    case 0x10D6:  // UNORM_INT_101010
    case 0x10E0:  // UNORM_INT_101010_2
      return 4;
    case 0x10D0:  // SNORM_INT8
    case 0x10D2:  // UNORM_INT8
    case 0x10D7:  // SIGNED_INT8
    case 0x10DA:  // UNSIGNED_INT8
      return Channels(format.image_channel_order);
    case 0x10D1:  // SNORM_INT16
    case 0x10D3:  // UNORM_INT16
    case 0x10D8:  // SIGNED_INT16
    case 0x10DB:  // UNSIGNED_INT16
    case 0x10DD:  // HALF_FLOAT
      return 2 * Channels(format.image_channel_order);
    default:
      return 4 * Channels(format.image_channel_order);
  }
}

uint64_t Times(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t ImageBytes(const api::cl_image_format* format, uint64_t width, uint64_t height,
                    uint64_t depth) {
  if (!format) return 0;  // the driver will say that it is invalid
  const uint64_t rows = Times(std::max<uint64_t>(height, 1), std::max<uint64_t>(depth, 1));
  return Times(Times(PixelSize(*format), std::max<uint64_t>(width, 1)), rows);
}

uint64_t ImageBytes(const api::cl_image_format* format, const api::cl_image_desc* desc) {
  // An image made from a buffer or another image holds no memory of its own.
  if (!desc || desc->mem_object) return 0;
  // Fields that a type does not use may hold anything.
  switch (desc->image_type) {
    case api::CL_MEM_OBJECT_IMAGE2D:
      return ImageBytes(format, desc->image_width, desc->image_height, 1);
    case api::CL_MEM_OBJECT_IMAGE2D_ARRAY:
      return ImageBytes(format, desc->image_width, desc->image_height, desc->image_array_size);
    case api::CL_MEM_OBJECT_IMAGE1D:
      return ImageBytes(format, desc->image_width, 1, 1);
    case api::CL_MEM_OBJECT_IMAGE1D_ARRAY:
      return ImageBytes(format, desc->image_width, desc->image_array_size, 1);
    default:  // in three dimensions, or what the driver will say is invalid
      return ImageBytes(format, desc->image_width, desc->image_height, desc->image_depth);
  }
}

bool IsMemObject(uint16_t index) {
  return index == api::ClCreateBufferCall::kIndex ||
         index == api::ClCreateBufferWithPropertiesCall::kIndex ||
         index == api::ClCreateBufferWithPropertiesINTELCall::kIndex ||
         index == api::ClCreateImageCall::kIndex ||
         index == api::ClCreateImageWithPropertiesCall::kIndex ||
         index == api::ClCreateImage2DCall::kIndex || index == api::ClCreateImage3DCall::kIndex ||
         index == api::ClCreatePipeCall::kIndex;
}

void ShowCpuAsGpu(Call& call) {
  api::cl_device_type* type = nullptr;
  if (call.info().index == api::ClGetDeviceIDsCall::kIndex) {
    type = &call.As<api::ClGetDeviceIDsCall>().device_type;
  } else if (call.info().index == api::ClCreateContextFromTypeCall::kIndex) {
    type = &call.As<api::ClCreateContextFromTypeCall>().device_type;
  }
  if (type && (*type & api::CL_DEVICE_TYPE_GPU)) *type |= api::CL_DEVICE_TYPE_CPU;
}

bool IsContext(const Call& call) { return call.info().event == intercept::Event::kContextCreate; }

// What a destructor callback or an event's callback gives back.
struct Debt {
  slice::Ledger* ledger;
  uint64_t bytes;
};

void PayMem(api::cl_mem, void* debt) {
  const auto* owed = static_cast<Debt*>(debt);
  owed->ledger->Release(owed->bytes);
  delete owed;
}

void EndContext(api::cl_context, void* debt) {
  const auto* owed = static_cast<Debt*>(debt);
  owed->ledger->Retreat(owed->bytes);
  delete owed;
}

void PayEvent(api::cl_event event, api::cl_int, void* debt) {
  const auto* owed = static_cast<Debt*>(debt);
  owed->ledger->Release(owed->bytes);
  delete owed;
  const intercept::OwnCalls own;
  Real().clReleaseEvent(event);
}

}  // namespace

bool SliceRules::Asks(Call& call, uint64_t* bytes) {
  *bytes = BytesOf(call);
  return *bytes > 0;
}

// Using the card takes memory before anything is allocated. Whether two contexts of a process share
// what the driver holds for them shows when it is asked; until then each is charged.
uint64_t SliceRules::ContextBytes() const {
  const slice::Region* region = tenant_->region();
  if (!OnOther() || !region) return 0;
  return region->header.context_bytes.load(std::memory_order_relaxed);
}

// A context may hold more than those from which the figure came, and before the first nothing is
// known: so the driver is asked what the process holds now.
bool SliceRules::TookUnmeasured(Call& call) { return OnOther() && IsContext(call); }

uint64_t SliceRules::BytesOf(Call& call) const {
  switch (call.info().index) {
    case api::ClCreateContextCall::kIndex:
    case api::ClCreateContextFromTypeCall::kIndex:
      return ContextBytes();
    case api::ClCreateImageCall::kIndex: {
      const auto& c = call.As<api::ClCreateImageCall>();
      return ImageBytes(c.image_format, c.image_desc);
    }
    case api::ClCreateImageWithPropertiesCall::kIndex: {
      const auto& c = call.As<api::ClCreateImageWithPropertiesCall>();
      return ImageBytes(c.image_format, c.image_desc);
    }
    case api::ClCreateImage2DCall::kIndex: {
      const auto& c = call.As<api::ClCreateImage2DCall>();
      return ImageBytes(c.image_format, c.image_width, c.image_height, 1);
    }
    case api::ClCreateImage3DCall::kIndex: {
      const auto& c = call.As<api::ClCreateImage3DCall>();
      return ImageBytes(c.image_format, c.image_width, c.image_height, c.image_depth);
    }
    case api::ClCreatePipeCall::kIndex: {
      const auto& c = call.As<api::ClCreatePipeCall>();
      return Times(c.pipe_packet_size, c.pipe_max_packets);
    }
    default:
      return call.charge();
  }
}

uint64_t SliceRules::Held(Call& call, uint64_t asked) {
  if (!IsMemObject(call.info().index)) return asked;
  size_t size = 0;
  const auto mem = reinterpret_cast<api::cl_mem>(call.created());
  if (Real().clGetMemObjectInfo(mem, api::CL_MEM_SIZE, sizeof(size), &size, nullptr) != 0)
    return asked;
  return std::max<uint64_t>(size, asked);
}

void SliceRules::Keep(Call& call, uint64_t bytes, slice::Ledger& ledger) {
  if (IsContext(call)) {
    if (bytes == 0) return;
    // What it takes is told by the driver from now on, as of every process that uses the card.
    ledger.Advance(bytes);
    // It ends with the last of what was made in it, whenever the program has given it up.
    const auto context = reinterpret_cast<api::cl_context>(call.created());
    auto* debt = new Debt{&ledger, bytes};
    const auto when_gone = Real().clSetContextDestructorCallback;
    if (when_gone && when_gone(context, &EndContext, debt) == 0) return;
    delete debt;  // a driver older than OpenCL 3.0: the next comparison tells
    return;
  }
  if (!IsMemObject(call.info().index)) {
    std::lock_guard<std::mutex> lock(mu_);
    pointers_[call.created()] = bytes;
    return;
  }
  const auto mem = reinterpret_cast<api::cl_mem>(call.created());
  auto* debt = new Debt{&ledger, bytes};
  if (Real().clSetMemObjectDestructorCallback(mem, &PayMem, debt) == 0) return;
  // A driver of OpenCL 1.0: it stays charged, which is the safe side.
  delete debt;
}

void SliceRules::Undo(Call& call) {
  if (IsMemObject(call.info().index)) {
    Real().clReleaseMemObject(reinterpret_cast<api::cl_mem>(call.created()));
  } else if (IsContext(call)) {
    Real().clReleaseContext(reinterpret_cast<api::cl_context>(call.created()));
  }
}

uint64_t SliceRules::Forget(uint64_t pointer) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = pointers_.find(pointer);
  if (found == pointers_.end()) return 0;
  const uint64_t bytes = found->second;
  pointers_.erase(found);
  return bytes;
}

void SliceRules::Drop(Call& call, slice::Ledger& ledger) {
  // Memory objects are counted by their destructor; release counts of the application do not tell.
  if (call.info().index == api::ClReleaseMemObjectCall::kIndex) return;
  if (call.info().index == api::ClEnqueueSVMFreeCall::kIndex) {
    auto& c = call.As<api::ClEnqueueSVMFreeCall>();
    // With a function of its own the application frees the memory itself, by clSVMFree.
    if (c.pfn_free_func) return;
    uint64_t bytes = 0;
    for (api::cl_uint i = 0; c.svm_pointers && i < c.num_svm_pointers; ++i) {
      bytes += Forget(reinterpret_cast<uint64_t>(c.svm_pointers[i]));
    }
    if (bytes == 0) return;
    // The memory is free once the queue got there: a marker behind the call tells.
    const api::cl_int done =
        Real().clEnqueueSVMFree(c.command_queue, c.num_svm_pointers, c.svm_pointers, nullptr,
                                nullptr, c.num_events_in_wait_list, c.event_wait_list, c.event);
    c.result = done;
    call.Answer();
    api::cl_event marker = nullptr;
    auto* debt = new Debt{&ledger, bytes};
    if (done == 0 &&
        Real().clEnqueueMarkerWithWaitList(c.command_queue, 0, nullptr, &marker) == 0 &&
        Real().clSetEventCallback(marker, api::CL_COMPLETE, &PayEvent, debt) == 0) {
      return;
    }
    delete debt;
    ledger.Release(bytes);
    return;
  }
  if (const uint64_t bytes = Forget(call.dropped()); bytes > 0) ledger.Release(bytes);
}

void SliceRules::TookUnforeseen() {
  if (slice::Ledger* ledger = tenant_->ledger(); ledger && OnOther()) ledger->TookUnforeseen();
}

void SliceRules::BeforeStart(Call& call) {
  if (present_as_gpu_) ShowCpuAsGpu(call);
  if (OnOther()) {
    // A loader may bring its drivers in with the first calls.
    StandBehindDriver(channels_);
  } else {
    WorkerFreeze::BeginMark();
  }
  const slice::Region* region = tenant_->region();
  if (region && region->header.card_uuid[0]) ShowOwnDevices(call, region->header.card_uuid);
}

void SliceRules::AfterStart(Call& call) {
  WorkerFreeze::EndMark();
  if (OnOther()) {
    const bool queue = call.info().event == intercept::Event::kStreamCreate;
    if (queue && call.ok()) {
      queues_.Made(call.created());
      TookUnforeseen();
    }
    tenant_->PublishWorkers();
    return;
  }
  freeze_->FindWorkers();
  tenant_->PublishWorkers();
}

void SliceRules::Answer(Call& call, const slice::Ledger& ledger) {
  switch (call.info().index) {
    case api::ClGetDeviceInfoCall::kIndex:
      return AnswerAboutDevice(call, ledger);
    case api::ClGetEventProfilingInfoCall::kIndex: {
      const auto& c = call.As<api::ClGetEventProfilingInfoCall>();
      if (OnOther()) {
        if (c.param_name == api::CL_PROFILING_COMMAND_END) queues_.Complete(call.handle());
        return;
      }
      // All that it can be asked for are moments.
      if (!c.param_value || c.param_value_size < sizeof(api::cl_ulong)) return;
      api::cl_ulong moment;
      memcpy(&moment, c.param_value, sizeof(moment));
      moment = card_clock_.FromDriver(moment);
      memcpy(c.param_value, &moment, sizeof(moment));
      return;
    }
    case api::ClGetDeviceAndHostTimerCall::kIndex: {
      if (OnOther()) return;
      const auto& c = call.As<api::ClGetDeviceAndHostTimerCall>();
      if (c.device_timestamp) *c.device_timestamp = card_clock_.FromDriver(*c.device_timestamp);
      return;
    }
    default:
      return;
  }
}

void SliceRules::AnswerAboutDevice(Call& call, const slice::Ledger& ledger) const {
  const auto& c = call.As<api::ClGetDeviceInfoCall>();
  if (!c.param_value || c.param_value_size < sizeof(api::cl_ulong)) return;
  api::cl_ulong value;
  memcpy(&value, c.param_value, sizeof(value));
  switch (c.param_name) {
    case api::CL_DEVICE_GLOBAL_MEM_SIZE:
      value = ledger.limit();
      break;
    case api::CL_DEVICE_MAX_MEM_ALLOC_SIZE:
      value = std::min<uint64_t>(value, ledger.limit());
      break;
    case api::CL_DEVICE_TYPE:
      if (!present_as_gpu_) return;
      value = api::CL_DEVICE_TYPE_GPU | (value & api::CL_DEVICE_TYPE_DEFAULT);
      break;
    default:
      return;
  }
  memcpy(c.param_value, &value, sizeof(value));
}

}  // namespace flexai::backend::opencl
