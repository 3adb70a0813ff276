#include "flexai/backend/cuda/queues.h"

#include <string_view>

#include "flexai/backend/cuda/base_name.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

// Handles that are no objects: the default stream of the context, and that of the thread.
constexpr uint64_t kLegacy = 1;
constexpr uint64_t kPerThread = 2;

alignas(16) thread_local char t_own_stream __attribute__((tls_model("initial-exec"))) = 0;
// Told from handles, which are addresses of objects, by being odd.
uint64_t OwnStream() { return reinterpret_cast<uintptr_t>(&t_own_stream) | 1; }
bool IsHandle(uint64_t queue) { return queue > kPerThread && queue % 2 == 0; }

// How often at most the driver is asked about streams that nobody waits for.
constexpr Nanos kAskEvery = kMillisecond;

template <class C>
uint64_t StreamOf(void* params) {
  const C& call = *static_cast<const C*>(params);
  if constexpr (requires { call.hStream; }) {
    return intercept::ToWord(call.hStream);
  } else {
    return call.config ? intercept::ToWord(call.config->hStream) : 0;
  }
}

}  // namespace

Queues::Queues(slice::QueueWatch* watch) : watch_(watch) {
  for (const intercept::FnInfo& info : api::kFunctions) {
    does_[info.index] = Learn(info.name);
    per_thread_[info.index] = IsPerThread(info.name);
  }
  const auto add = [this]<class... C>() { ((stream_[C::kIndex] = &StreamOf<C>), ...); };
  add.operator()<api::CuLaunchKernelCall, api::CuLaunchKernel_ptszCall, api::CuLaunchKernelExCall,
                 api::CuLaunchKernelEx_ptszCall, api::CuLaunchCooperativeKernelCall,
                 api::CuLaunchCooperativeKernel_ptszCall, api::CuLaunchGridAsyncCall,
                 api::CuGraphLaunchCall, api::CuGraphLaunch_ptszCall, api::CuGraphUploadCall,
                 api::CuGraphUpload_ptszCall, api::CuStreamSynchronizeCall,
                 api::CuStreamSynchronize_ptszCall, api::CuStreamQueryCall,
                 api::CuStreamQuery_ptszCall, api::CuEventRecordCall, api::CuEventRecord_ptszCall,
                 api::CuEventRecordWithFlagsCall, api::CuEventRecordWithFlags_ptszCall,
                 api::CuStreamBeginCaptureCall, api::CuStreamBeginCapture_ptszCall,
                 api::CuStreamBeginCapture_v2Call, api::CuStreamBeginCapture_v2_ptszCall,
                 api::CuStreamBeginCaptureToGraphCall, api::CuStreamBeginCaptureToGraph_ptszCall,
                 api::CuStreamEndCaptureCall, api::CuStreamEndCapture_ptszCall,
                 api::CuStreamDestroyCall, api::CuStreamDestroy_v2Call>();
}

Queues::Does Queues::Learn(const char* name) {
  static constexpr std::pair<std::string_view, Does> kDoes[] = {
      {"cuStreamSynchronize", Does::kWaitForStream},
      {"cuStreamQuery", Does::kWaitForStream},
      {"cuMemcpyDtoH", Does::kWaitForStream},
      {"cuMemcpyAtoH", Does::kWaitForStream},
      {"cuEventSynchronize", Does::kWaitForEvent},
      {"cuEventQuery", Does::kWaitForEvent},
      {"cuCtxSynchronize", Does::kWaitForAll},
      {"cuEventRecord", Does::kRecordEvent},
      {"cuEventRecordWithFlags", Does::kRecordEvent},
      {"cuStreamBeginCapture", Does::kBeginCapture},
      {"cuStreamBeginCaptureToGraph", Does::kBeginCapture},
      {"cuStreamEndCapture", Does::kEndCapture},
      {"cuStreamDestroy", Does::kDestroyStream},
      {"cuCtxDestroy", Does::kDestroyContext},
      {"cuGreenCtxDestroy", Does::kDestroyContext},
      {"cuDevicePrimaryCtxRelease", Does::kDestroyContext},
      {"cuDevicePrimaryCtxReset", Does::kDestroyContext},
  };
  const std::string_view base = BaseName(name);
  for (const auto& [known, does] : kDoes) {
    if (known == base) return does;
  }
  return Does::kNothing;
}

uint64_t Queues::QueueIn(const Call& call) const {
  const uint16_t index = call.info().index;
  const uint64_t stream = stream_[index] ? stream_[index](call.params()) : 0;
  if (stream > kPerThread) return stream;
  const bool own = stream == kPerThread || (stream == 0 && per_thread_[index]);
  return own ? OwnStream() : kLegacy;
}

void Queues::Launches(Call& call) {
  const uint64_t queue = QueueIn(call);
  if (captures_.load(std::memory_order_relaxed) != 0 && IsCaptured(queue)) return;
  watch_->Launched(queue);
}

bool Queues::Watches(const intercept::FnInfo& info) const {
  return does_[info.index] != Does::kNothing;
}

void Queues::Before(Call& call) {
  switch (does_[call.info().index]) {
    case Does::kWaitForStream:
      call.scratch() = watch_->Before(QueueIn(call));
      return;
    case Does::kWaitForAll:
      return watch_->BeforeAll();
    case Does::kEndCapture:
      return Capture(QueueIn(call), /*begin=*/false);
    case Does::kDestroyStream: {
      std::lock_guard<std::mutex> lock(ask_mu_);
      return watch_->Gone(QueueIn(call));
    }
    case Does::kDestroyContext: {
      std::lock_guard<std::mutex> lock(ask_mu_);
      return watch_->AllGone();
    }
    default:
      return;
  }
}

void Queues::After(Call& call) {
  // Of those that ask, the ones that hear "not yet" count as failed.
  if (!call.ok()) return;
  switch (does_[call.info().index]) {
    case Does::kWaitForStream:
      watch_->Waited(QueueIn(call), call.scratch());
      return AskForOthers();
    case Does::kWaitForEvent:
      watch_->WaitedFor(call.handle());
      return AskForOthers();
    case Does::kWaitForAll:
      return watch_->WaitedAll();
    case Does::kRecordEvent:
      return watch_->Marked(call.handle(), QueueIn(call));
    case Does::kBeginCapture:
      return Capture(QueueIn(call), /*begin=*/true);
    default:
      return;
  }
}

// A stream that a program launched to and never waits for, as one that it only captures from, would
// count as full for ever: so whoever has waited for one asks about the others. Not while something
// is captured, which a question can spoil.
void Queues::AskForOthers() {
  const api::Real& real = Real();
  if (!real.cuStreamQuery || !real.cuStreamIsCapturing) return;
  const Nanos now = MonotonicNow();
  Nanos last = asked_at_.load(std::memory_order_relaxed);
  if (now - last < kAskEvery || !asked_at_.compare_exchange_strong(last, now)) return;
  std::unique_lock<std::mutex> lock(ask_mu_, std::try_to_lock);
  if (!lock) return;
  for (uint32_t at = 0; at < slice::QueueWatch::kQueues; ++at) {
    uint64_t queue = 0, launches = 0;
    if (captures_.load(std::memory_order_relaxed) != 0) return;
    if (!watch_->IsFull(at, &queue, &launches) || !IsHandle(queue)) continue;
    const auto stream = reinterpret_cast<api::CUstream>(queue);
    api::CUstreamCaptureStatus captured = 0;
    if (real.cuStreamIsCapturing(stream, &captured) != api::CUDA_SUCCESS || captured != 0) continue;
    if (real.cuStreamQuery(stream) == api::CUDA_SUCCESS) watch_->Waited(queue, launches);
  }
}

bool Queues::IsCaptured(uint64_t queue) const {
  for (const auto& captured : captured_) {
    if (captured.load(std::memory_order_relaxed) == queue) return true;
  }
  return false;
}

void Queues::Capture(uint64_t queue, bool begin) {
  for (auto& captured : captured_) {
    uint64_t expected = begin ? 0 : queue;
    if (!captured.compare_exchange_strong(expected, begin ? queue : 0)) continue;
    captures_.fetch_add(begin ? 1 : ~uint32_t{0}, std::memory_order_relaxed);
    return;
  }
}

}  // namespace flexai::backend::cuda
