#include "flexai/backend/cuda/queues.h"

#include <string_view>
#include <utility>

#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/sizes.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

alignas(16) thread_local char t_own_stream __attribute__((tls_model("initial-exec"))) = 0;

// How often at most the driver is asked about streams that nobody waits for.
constexpr Nanos kAskEvery = kMillisecond;

uint64_t ContextOfStream(uint64_t stream) {
  api::CUcontext context = nullptr;
  if (!Real().cuStreamGetCtx) return 0;
  const auto handle = reinterpret_cast<api::CUstream>(stream);
  return Real().cuStreamGetCtx(handle, &context) == api::CUDA_SUCCESS ? intercept::ToWord(context)
                                                                      : 0;
}

// Null where the driver will not: the stream is captured from, or is none.
api::CUevent EventBehind(api::CUstream stream) {
  constexpr unsigned kNoTiming = 2;
  const api::Real& real = Real();
  api::CUstreamCaptureStatus captured = 0;
  if (!real.cuEventCreate || !real.cuEventRecord || !real.cuEventQuery || !real.cuEventDestroy_v2 ||
      real.cuStreamIsCapturing(stream, &captured) != api::CUDA_SUCCESS || captured != 0) {
    return nullptr;
  }
  const InContext in(ContextOfStream(intercept::ToWord(stream)));
  if (!in) return nullptr;
  api::CUevent event = nullptr;
  if (real.cuEventCreate(&event, kNoTiming) == api::CUDA_SUCCESS &&
      real.cuEventRecord(event, stream) != api::CUDA_SUCCESS) {
    real.cuEventDestroy_v2(std::exchange(event, nullptr));
  }
  return event;
}

}  // namespace

Queues::Queues(slice::QueueWatch* watch) : watch_(watch) {
  for (const intercept::FnInfo& info : api::kFunctions) {
    functions_[info.index].does = Learn(info.name);
    functions_[info.index].per_thread = IsPerThread(info.name);
  }
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
      // Of copies those that the card's compute engines may do. Between host and device copy
      // engines do them; where the name does not tell, it may be either.
      {"cuMemcpyDtoD", Does::kFill},
      {"cuMemcpyDtoDAsync", Does::kFill},
      {"cuMemcpyDtoA", Does::kFill},
      {"cuMemcpyAtoD", Does::kFill},
      {"cuMemcpyAtoA", Does::kFill},
      {"cuMemcpyPeer", Does::kFill},
      {"cuMemcpyPeerAsync", Does::kFill},
      {"cuMemcpy3DPeer", Does::kFill},
      {"cuMemcpy3DPeerAsync", Does::kFill},
      {"cuMemcpyAsync", Does::kFill},
      {"cuMemcpy2DAsync", Does::kFill},
      {"cuMemcpy3DAsync", Does::kFill},
      {"cuMemcpyBatchAsync", Does::kFill},
      {"cuMemcpy3DBatchAsync", Does::kFill},
      {"cuMemcpyWithAttributesAsync", Does::kFill},
      {"cuMemcpy3DWithAttributesAsync", Does::kFill},
  };
  const std::string_view base = BaseName(name);
  if (base.starts_with("cuMemset")) return Does::kFill;
  for (const auto& [known, does] : kDoes) {
    if (known == base) return does;
  }
  return Does::kNothing;
}

// Most programs have one context, and then its default streams need no further name.
Queues::Queue Queues::QueueIn(const Call& call) const {
  const uint64_t stream = call.queue();
  const uint64_t name = NameIn(call.info().index, stream);
  if (!several_.load(std::memory_order_relaxed)) return {name, 0};
  if (stream > kPerThread) return {stream, GroupOf(ContextOfStream(stream))};
  const uint64_t group = GroupOf(CurrentContext());
  return {name ^ (group & ~uint64_t{1}), group};
}

// Told from handles, which are addresses of objects, by being odd.
uint64_t Queues::OwnStream() { return reinterpret_cast<uintptr_t>(&t_own_stream) | 1; }

uint64_t Queues::GroupOf(uint64_t context) const {
  return context == first_context_.load(std::memory_order_relaxed) ? 0 : context;
}

uint64_t Queues::CurrentKey() const { return HasSeveral() ? GroupOf(CurrentContext()) : 0; }

void Queues::ContextMade(uint64_t context) {
  uint64_t first = 0;
  if (first_context_.compare_exchange_strong(first, context) || first == context) return;
  several_.store(true, std::memory_order_relaxed);
}

void Queues::ContextGone(uint64_t context) {
  std::lock_guard<std::mutex> lock(ask_mu_);
  const bool several = several_.load(std::memory_order_relaxed);
  const uint64_t group = several ? GroupOf(context) : 0;
  for (Behind& behind : behind_) {
    if (!several || behind.group == group) behind = {};  // the event went with its context
  }
  others_.RemoveGroup(group);
  several ? watch_->GroupGone(group) : watch_->AllGone();
  // The next one may be the only one again.
  uint64_t first = context;
  first_context_.compare_exchange_strong(first, 0);
}

bool Queues::Launches(Call& call) {
  const Queue queue = QueueIn(call);
  if (captures_.load(std::memory_order_relaxed) != 0 && IsCaptured(queue.name)) return false;
  if (watch_->Launched(queue.name, queue.group)) return false;
  LaunchesElsewhere(queue);
  return true;
}

// By its name it can be asked about. That is noted before it is shown, and before the driver has
// the launch: nobody takes the stream for empty meanwhile.
void Queues::LaunchesElsewhere(Queue queue) {
  Launched();
  std::lock_guard<std::mutex> lock(ask_mu_);
  uint64_t launches = 0;
  if (under_way_.load() == 0 && !watch_->IsFullElsewhere(&launches)) {
    others_.Clear([](const OtherStreams::Stream& stream) {
      if (stream.event) Real().cuEventDestroy_v2(reinterpret_cast<api::CUevent>(stream.event));
    });
  }
  others_.Add(queue.name, queue.group);
  watch_->LaunchedElsewhere();
  under_way_.fetch_add(1);
  t_elsewhere_ = this;
}

void Queues::Arrived() { std::exchange(t_elsewhere_, nullptr)->under_way_.fetch_sub(1); }

bool Queues::Watches(const intercept::FnInfo& info) const {
  return functions_[info.index].does != Does::kNothing;
}

bool Queues::WaitsForEvent(const intercept::FnInfo& info) const {
  return functions_[info.index].does == Does::kWaitForEvent;
}

uint64_t Queues::ContextOf(const Call& call) const {
  if (call.info().index == api::CuCtxSynchronize_v2Call::kIndex) {
    return intercept::ToWord(call.As<api::CuCtxSynchronize_v2Call>().ctx);
  }
  const uint64_t stream = call.queue();
  return IsHandle(stream) ? ContextOfStream(stream) : 0;
}

void Queues::Before(Call& call) {
  Launched();  // an earlier one that was refused on its way
  switch (functions_[call.info().index].does) {
    case Does::kFill:
      Launches(call);
      return;
    case Does::kWaitForStream:
      call.scratch() = watch_->Before(QueueIn(call).name);
      return;
    case Does::kWaitForAll:
      return watch_->BeforeAll();
    case Does::kEndCapture:
      return Capture(QueueIn(call).name, /*begin=*/false);
    case Does::kDestroyStream:
      return Abandon(QueueIn(call));
    case Does::kBeginCapture:
    case Does::kDestroyContext: {
      std::lock_guard<std::mutex> lock(ask_mu_);
      ++hindrances_;
      return;
    }
    default:
      return;
  }
}

void Queues::After(Call& call, bool ok) {
  const Does does = functions_[call.info().index].does;
  if (does == Does::kFill) return Launched();
  if (does == Does::kDestroyContext || does == Does::kBeginCapture) {
    std::lock_guard<std::mutex> lock(ask_mu_);
    --hindrances_;
    if (ok && does == Does::kBeginCapture) Capture(QueueIn(call).name, /*begin=*/true);
  }
  // Of those that ask, the ones that hear "not yet" count as failed.
  if (!ok) return;
  switch (does) {
    case Does::kWaitForStream:
      watch_->Waited(QueueIn(call).name, call.scratch());
      return AskForOthers();
    case Does::kWaitForEvent:
      watch_->WaitedFor(call.handle());
      return AskForOthers();
    case Does::kWaitForAll: {
      if (!several_.load(std::memory_order_relaxed)) return watch_->WaitedAll();
      const bool named = call.info().index == api::CuCtxSynchronize_v2Call::kIndex;
      const uint64_t context =
          named ? intercept::ToWord(call.As<api::CuCtxSynchronize_v2Call>().ctx) : 0;
      watch_->WaitedGroup(GroupOf(context != 0 ? context : CurrentContext()));
      return AskForOthers();
    }
    case Does::kRecordEvent:
      return watch_->Marked(call.handle(), QueueIn(call).name);
    default:
      return;
  }
}

// A stream may be destroyed before its work is done, which goes on. An event behind it tells when.
void Queues::Abandon(Queue queue) {
  if (!IsHandle(queue.name)) return;
  const CaptureSafe safe;
  const api::Real& real = Real();
  const auto stream = reinterpret_cast<api::CUstream>(queue.name);
  std::lock_guard<std::mutex> lock(ask_mu_);
  const uint64_t before = watch_->Before(queue.name);
  const bool asks = !IsCaptured(queue.name) && real.cuStreamQuery;
  const bool is_done = asks && real.cuStreamQuery(stream) == api::CUDA_SUCCESS;
  if (is_done) watch_->Waited(queue.name, before);
  AbandonElsewhere(queue, is_done);
  const int at = watch_->Unnamed(queue.name);
  if (at < 0) return;
  Behind& behind = behind_[static_cast<size_t>(at)];
  if (behind.event) real.cuEventDestroy_v2(behind.event);
  behind = {asks ? EventBehind(stream) : nullptr, queue.group};
}

void Queues::AbandonElsewhere(Queue queue, bool is_done) {
  OtherStreams::Stream* other = others_.Find(queue.name);
  if (!other) return;
  if (is_done && under_way_.load() == 0) return others_.Remove(other);
  const auto stream = reinterpret_cast<api::CUstream>(queue.name);
  const api::CUevent event = IsCaptured(queue.name) ? nullptr : EventBehind(stream);
  if (!event) others_.Lose();
  *other = {OtherStreams::kNoName, queue.group, intercept::ToWord(event)};
}

// Whether the driver says so. Of the default streams only the calling thread's can be asked about,
// and its current context's.
bool Queues::IsDone(uint64_t queue, uint64_t group) const {
  const api::Real& real = Real();
  const uint64_t of_group = group ? group : first_context_.load(std::memory_order_relaxed);
  const InContext in(without_context_ ? of_group : 0);
  if (!IsHandle(queue)) {
    const bool several = several_.load(std::memory_order_relaxed);
    const uint64_t context = CurrentContext();
    const uint64_t first = first_context_.load(std::memory_order_relaxed);
    if (several ? GroupOf(context) != group : context != first) return false;
    const uint64_t mixed = group & ~uint64_t{1};
    if (queue != (kLegacy ^ mixed) && queue != (OwnStream() ^ mixed)) return false;
    queue = queue == (kLegacy ^ mixed) ? kLegacy : kPerThread;
  }
  const auto stream = reinterpret_cast<api::CUstream>(queue);
  api::CUstreamCaptureStatus captured = 0;
  return real.cuStreamIsCapturing(stream, &captured) == api::CUDA_SUCCESS && captured == 0 &&
         real.cuStreamQuery(stream) == api::CUDA_SUCCESS;
}

// A stream that a program launched to and never waits for, as one that it only captures from, would
// count as full for ever: so whoever has waited for one asks about the others. Not while something
// is captured, which a question can spoil.
void Queues::AskForOthers() {
  if (!watch_->IsFull()) return;  // most programs wait for all that they have
  const api::Real& real = Real();
  if (!real.cuStreamQuery || !real.cuStreamIsCapturing) return;
  const Nanos now = MonotonicNow();
  Nanos last = asked_at_.load(std::memory_order_relaxed);
  const bool due = now - last >= kAskEvery && asked_at_.compare_exchange_strong(last, now);
  // When nothing else is left, the answer about these is what counts, and the first "no" ends it.
  if (!due && !watch_->IsFullOnlyElsewhere()) return;
  std::unique_lock<std::mutex> lock(ask_mu_, std::try_to_lock);
  if (!lock || hindrances_ > 0) return;
  if (due) AskForPlaces();
  if (watch_->IsFullOnlyElsewhere()) AskElsewhere();
}

void Queues::AskUnwaited() {
  const api::Real& real = Real();
  if (!real.cuStreamQuery || !real.cuStreamIsCapturing) return;
  std::lock_guard<std::mutex> lock(ask_mu_);
  if (hindrances_ > 0) return;
  without_context_ = true;
  AskForPlaces();
  AskElsewhere();
  without_context_ = false;
}

void Queues::AskForPlaces() {
  const api::Real& real = Real();
  for (uint32_t at = 0; at < slice::QueueWatch::kQueues; ++at) {
    slice::QueueWatch::Work work;
    if (captures_.load(std::memory_order_relaxed) != 0) return;
    if (!watch_->IsFull(at, &work)) continue;
    if (work.queue == slice::QueueWatch::kNoName) {
      api::CUevent& event = behind_[at].event;
      if (!event || real.cuEventQuery(event) == api::CUDA_ERROR_NOT_READY) continue;
      real.cuEventDestroy_v2(std::exchange(event, nullptr));
      watch_->Done(at, work.launches);
      continue;
    }
    if (IsDone(work.queue, work.group)) watch_->Done(at, work.launches);
  }
}

// Not while a launch to one of them is on its way to the driver, which does not know of it yet.
void Queues::AskElsewhere() {
  uint64_t launches = 0;
  if (captures_.load(std::memory_order_relaxed) != 0 || !watch_->IsFullElsewhere(&launches) ||
      under_way_.load() != 0) {
    return;
  }
  const bool done = others_.AllDone([&](const OtherStreams::Stream& stream) {
    if (stream.name != OtherStreams::kNoName) return IsDone(stream.name, stream.group);
    const auto event = reinterpret_cast<api::CUevent>(stream.event);
    if (!event || Real().cuEventQuery(event) == api::CUDA_ERROR_NOT_READY) return false;
    Real().cuEventDestroy_v2(event);
    return true;
  });
  if (done) watch_->DoneElsewhere(launches);
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
