// The fake driver's streams and events. A stream is one of a card's; it belongs to the context in
// which it was made, and each context has a default one.
#include <mutex>

#include "flexai/backend/cuda/fake_bodies.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

using fake::Card;

bool IsDone(int card, const fake::TaskPtr& task) {
  return !task || Card::Instance(card).Look(task).state == fake::Task::State::kDone;
}

std::shared_ptr<Queue> DefaultStream(Context* context) {
  static auto* const of_none = new std::shared_ptr<Queue>(std::make_shared<Queue>(CurrentCard()));
  if (!context) return *of_none;
  std::lock_guard<std::mutex> lock(context->mu);
  if (!context->default_stream) context->default_stream = std::make_shared<Queue>(context->card);
  return context->default_stream;
}

std::shared_ptr<Queue> ThreadStream(Context* context) {
  if (!context) return DefaultStream(context);
  std::lock_guard<std::mutex> lock(context->mu);
  std::shared_ptr<Queue>& stream = context->thread_streams[std::this_thread::get_id()];
  if (!stream) context->streams.push_back(stream = std::make_shared<Queue>(context->card));
  return stream;
}

// As many share a block as the environment says, and keep it; without a word they take nothing.
bool TakeForStream(Context& context) {
  static const char* const told = getenv("FLEXAI_FAKE_STREAMS_IN_BLOCK");
  const uint64_t share = told ? strtoull(told, nullptr, 10) : 0;
  if (share == 0) return true;
  std::lock_guard<std::mutex> lock(context.mu);
  if (context.streams_made++ % share != 0) return true;
  auto block = TakeMemory(context.card, kBlock);
  if (!block) return false;
  context.stream_blocks.push_back(std::move(block));
  return true;
}

template <class C>
void MakeStream(C& call) {
  if (Current() && !TakeForStream(*Current())) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  const auto made = Make<Queue>(call.phStream, CurrentCard());
  Context* const context = Current();
  made->context = HandleOf(context);
  if (context) {
    std::lock_guard<std::mutex> lock(context->mu);
    std::erase_if(context->streams, [](const auto& stream) { return stream.expired(); });
    context->streams.push_back(made);
  }
  End(call);
}
// Of streams that were destroyed, too: of these the card alone still knows.
template <class C>
void WaitForContext(C& call, Context* context) {
  if (!context) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  std::vector<std::weak_ptr<Queue>> streams;
  std::vector<fake::TaskPtr> left;
  const std::shared_ptr<Queue> default_stream = DefaultStream(context);
  {
    std::lock_guard<std::mutex> lock(context->mu);
    streams = context->streams;
    left.swap(context->left);
  }
  for (const auto& each : streams) {
    if (const std::shared_ptr<Queue> stream = each.lock()) Wait(*stream);
  }
  for (const auto& task : left) Card::Instance(context->card).Wait(task);
  Wait(*default_stream);
  SettlePools();
  End(call);
}
// Questions that a capture does not bear. Source: asked of driver 580.
bool Spoils(Queue& stream) {
  stream.spoilt = stream.capture != nullptr;
  return stream.spoilt;
}
template <class C>
void AskStream(C& call) {
  const auto stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (Spoils(*stream)) return End(call, cu::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  End(call, IsDone(stream->card, stream->queue.last) ? kOk : cu::CUDA_ERROR_NOT_READY);
}
template <class C>
void TellStream(C& call) {
  const auto stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (Spoils(*stream)) return End(call, cu::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  if constexpr (requires { call.flags; }) *call.flags = 0;
  if constexpr (requires { call.streamId; }) {
    *call.streamId = reinterpret_cast<uint64_t>(stream.get());
  }
  if constexpr (requires { call.device; }) *call.device = DeviceOf(stream->card);
  End(call);
}
template <class C>
void TellPriority(C& call) {
  if (!StreamOf(call)) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  *call.priority = 0;
  End(call);
}
template <class C>
void TellContext(C& call) {
  const auto stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  *call.pctx = stream->context ? stream->context : HandleOf(Current());
  End(call);
}
// What is in it goes on.
template <class C>
void DestroyStream(C& call) {
  const auto stream = Find<Queue>(call.hStream);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  Context* const context = ContextOf(stream->context);
  if (context && !IsDone(stream->card, stream->queue.last)) {
    std::lock_guard<std::mutex> lock(context->mu);
    context->left.push_back(stream->queue.last);
  }
  Remove(call.hStream);
  End(call);
}
template <class C>
void Synchronize(C& call) {
  const auto stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  Wait(*stream);
  SettlePools();
  End(call);
}
template <class C>
void BeginCapture(C& call) {
  const auto stream = StreamOf(call);
  if (!stream || stream->capture) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  stream->capture = new Graph;
  End(call);
}
template <class C>
void EndCapture(C& call) {
  const auto stream = StreamOf(call);
  if (!stream || !stream->capture) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const std::shared_ptr<Graph> graph(stream->capture);
  stream->capture = nullptr;
  if (std::exchange(stream->spoilt, false)) {
    *call.phGraph = nullptr;
    return End(call, cu::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
  Register(graph);
  *call.phGraph = reinterpret_cast<cu::CUgraph>(static_cast<Object*>(graph.get()));
  End(call);
}
template <class C>
void TellCapture(C& call) {
  const auto stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  *call.captureStatus = stream->spoilt ? 2 : stream->capture ? 1 : 0;
  End(call);
}
template <class C>
void RemoveEvent(C& call) {
  End(call, Remove(call.hEvent) ? kOk : cu::CUDA_ERROR_INVALID_HANDLE);
}
template <class C>
void Record(C& call) {
  const auto event = Find<Event>(call.hEvent);
  const auto stream = StreamOf(call);
  if (!event || !stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  event->card = stream->card;
  event->at = std::make_shared<fake::Task>();
  event->at->work = [] { return int64_t{0}; };
  Card::Instance(event->card).Submit(stream->queue, event->at, {});
  End(call);
}
template <class C>
void Elapsed(C& call) {
  const auto start = Find<Event>(call.hStart), end = Find<Event>(call.hEnd);
  if (!start || !end || !start->at || !end->at) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (start->card != end->card) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  Card& card = Card::Instance(end->card);
  card.Wait(end->at);
  const Nanos length = card.Look(end->at).ended_at - card.Look(start->at).ended_at;
  *call.pMilliseconds = static_cast<float>(length) / 1e6f;
  End(call);
}

}  // namespace

std::shared_ptr<Queue> FindStream(const void* handle) {
  const auto word = reinterpret_cast<uintptr_t>(handle);
  if (word > 2) return Find<Queue>(handle);
  return word == 2 ? ThreadStream(Current()) : DefaultStream(Current());
}

int64_t Spoilt(const Queue& stream) {
  return stream.spoilt ? cu::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : kOk;
}

void Wait(Queue& stream) { fake::Card::Instance(stream.card).Drain(stream.queue); }

}  // namespace flexai::backend::cuda::fake_driver

namespace flexai::fake {

FAKE_AS(CuStreamDestroy, DestroyStream)
FAKE_AS(CuStreamDestroy_v2, DestroyStream)
FAKE_BOTH(CuStreamSynchronize, _ptsz, Synchronize)
FAKE_BOTH(CuStreamQuery, _ptsz, AskStream)
FAKE_BOTH(CuStreamGetPriority, _ptsz, TellPriority)
FAKE_BOTH(CuStreamGetFlags, _ptsz, TellStream)
FAKE_BOTH(CuStreamGetId, _ptsz, TellStream)
FAKE_BOTH(CuStreamGetDevice, _ptsz, TellStream)
FAKE_BOTH(CuStreamGetCtx, _ptsz, TellContext)
FAKE_BOTH(CuStreamBeginCapture, _ptsz, BeginCapture)
FAKE_BOTH(CuStreamBeginCapture_v2, _ptsz, BeginCapture)
FAKE_BOTH(CuStreamEndCapture, _ptsz, EndCapture)
FAKE_BOTH(CuStreamIsCapturing, _ptsz, TellCapture)
FAKE_AS(CuEventDestroy, RemoveEvent)
FAKE_AS(CuEventDestroy_v2, RemoveEvent)
FAKE_BOTH(CuEventRecord, _ptsz, Record)
FAKE_BOTH(CuEventRecordWithFlags, _ptsz, Record)
FAKE_AS(CuEventElapsedTime, Elapsed)
FAKE_AS(CuEventElapsedTime_v2, Elapsed)

FAKE(CuStreamCreate) { MakeStream(call); }
FAKE(CuStreamCreateWithPriority) { MakeStream(call); }
FAKE(CuEventCreate) {
  Make<Event>(call.phEvent);
  End(call);
}
FAKE(CuEventSynchronize) {
  const auto event = Find<Event>(call.hEvent);
  if (event && event->at) Card::Instance(event->card).Wait(event->at);
  SettlePools();
  End(call, event ? kOk : cu::CUDA_ERROR_INVALID_HANDLE);
}
FAKE(CuEventQuery) {
  const auto event = Find<Event>(call.hEvent);
  if (!event) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  End(call, IsDone(event->card, event->at) ? kOk : cu::CUDA_ERROR_NOT_READY);
}
FAKE(CuCtxSynchronize) { WaitForContext(call, Current()); }
FAKE(CuCtxSynchronize_v2) { WaitForContext(call, call.ctx ? ContextOf(call.ctx) : Current()); }

}  // namespace flexai::fake
