// Contexts, and what they take by themselves as time goes on: room for the threads of kernels, and
// the heap from which kernels allocate.
#include <algorithm>
#include <mutex>
#include <utility>

#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/sizes.h"
#include "flexai/backend/cuda/slice_rules.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

// Between Asks and TookUnmeasured: nobody can tell what the call will take.
thread_local bool t_unmeasured __attribute__((tls_model("initial-exec"))) = false;
// Between Asks and TookUnmeasured, and Undo: what was free, and what the limit was.
thread_local uint64_t t_free_before __attribute__((tls_model("initial-exec"))) = 0;
thread_local size_t t_limit __attribute__((tls_model("initial-exec"))) = 0;
thread_local bool t_knows_limit __attribute__((tls_model("initial-exec"))) = false;

constexpr api::CUlimit kStackSize = 0;  // CU_LIMIT_STACK_SIZE
constexpr api::CUlimit kHeapSize = 2;   // CU_LIMIT_MALLOC_HEAP_SIZE
// CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT
constexpr api::CUlimit kPendingLaunches = 4;
// What the driver takes for each more, once there are kernels that launch others (measured on an
// H200), and for how many more that is sure to show.
constexpr uint64_t kOfPendingLaunch = 9384, kShows = 1024;

// Where the heap of a context is kept in the books: no memory of a card has such an address.
uint64_t HeapOf(uint64_t context) { return uint64_t{1} << 63 | context / 16 * kBlock; }
// What the driver takes for one (measured on an H100).
uint64_t HeapBytes(size_t size) {
  return RoundUp(std::min<uint64_t>(size, kMost), kBlock) + kBlock;
}

// Then its size cannot be changed any more, which is tried.
bool IsHeapInUse() {
  static std::mutex mu;  // who tries sees no other's try
  const std::lock_guard<std::mutex> lock(mu);
  const api::Real& real = Real();
  size_t size = 0;
  if (!real.cuCtxGetLimit || real.cuCtxGetLimit(&size, kHeapSize) != api::CUDA_SUCCESS)
    return false;
  const size_t other = size + kBlock;
  const api::CUresult code = real.cuCtxSetLimit(kHeapSize, other);
  size_t now = 0;
  if (code == api::CUDA_SUCCESS && real.cuCtxGetLimit(&now, kHeapSize) == api::CUDA_SUCCESS &&
      now == other) {
    real.cuCtxSetLimit(kHeapSize, size);
  }
  return code == api::CUDA_ERROR_INVALID_VALUE;
}

// Which is tried with a few: with all of them the card might be full for others meanwhile.
bool TakesPendingLaunches(size_t now) {
  const api::Real& real = Real();
  const uint64_t before = FreeOnCard();
  if (real.cuCtxSetLimit(kPendingLaunches, now + kShows) != api::CUDA_SUCCESS) return true;
  const bool takes = FreeOnCardChanged(before);
  real.cuCtxSetLimit(kPendingLaunches, now);
  return takes;
}

api::CUstream StreamOf(const Call& call) {
  const uint64_t stream = call.queue();
  const bool of_thread = stream == 0 && IsPerThread(call.info().name);
  return reinterpret_cast<api::CUstream>(of_thread ? kThreadStream : stream);
}

}  // namespace

// Only measuring tells what a context holds; until then, what one held before.
bool SliceRules::AsksContext(const Call& call, uint64_t* bytes) const {
  const slice::Region* region = tenant_->region();
  t_unmeasured = false;
  if (!region) return false;
  if (call.info().index == api::CuDevicePrimaryCtxRetainCall::kIndex) {
    const auto& c = call.As<api::CuDevicePrimaryCtxRetainCall>();
    unsigned flags = 0;
    int active = 0;
    if (Real().cuDevicePrimaryCtxGetState &&
        Real().cuDevicePrimaryCtxGetState(c.dev, &flags, &active) == api::CUDA_SUCCESS && active) {
      return false;
    }
  }
  *bytes = region->header.context_bytes.load(std::memory_order_relaxed);
  t_unmeasured = *bytes == 0;
  return *bytes > 0;
}

// What the driver takes for itself, often nothing and `most` at most, is looked at where the limit
// is near then. Elsewhere it is enough that the books are compared before they come near it.
bool SliceRules::MeasuresNear(uint64_t most) {
  const slice::Ledger* ledger = tenant_->ledger();
  const bool near = ledger && ledger->free_bytes() < slice::Ledger::kNear + most;
  t_free_before = near ? FreeOnCard() : 0;
  return near;
}

void SliceRules::Measure() { t_free_before = FreeOnCard(); }

// 0: it was not looked at, or the driver does not tell.
bool SliceRules::MayHaveTaken() { return t_free_before == 0 || FreeOnCardChanged(t_free_before); }

bool SliceRules::TookMeasured() { return t_free_before != 0 && FreeOnCardChanged(t_free_before); }

bool SliceRules::TookUnmeasured(Call& call) {
  if (DoesOf(call) == Does::kCreateContext) return std::exchange(t_unmeasured, false);
  if (DoesOf(call) != Does::kSetLimit || !std::exchange(t_unmeasured, false) ||
      !FreeOnCardChanged(t_free_before)) {
    return false;
  }
  if (call.As<api::CuCtxSetLimitCall>().value > t_limit) return true;
  tenant_->CompareBooks();  // nothing that gives memory back is undone
  return false;
}

// The context whose end the call was; 0 where others still use it.
uint64_t SliceRules::GoneContext(const Call& call) {
  if (const uint64_t context = call.dropped(); context != 0) return context;
  // One that libraries share goes with its last user.
  for (size_t device = 0; device < primary_.size(); ++device) {
    unsigned flags = 0;
    int active = 1;
    if (primary_[device].load(std::memory_order_relaxed) == 0) continue;
    Real().cuDevicePrimaryCtxGetState(static_cast<int>(device), &flags, &active);
    if (!active) return primary_[device].exchange(0, std::memory_order_relaxed);
  }
  return 0;
}

// What was made in a context goes with it, also what nobody freed.
void SliceRules::ContextEnded(const Call& call, slice::Ledger* ledger) {
  const uint64_t context = GoneContext(call);
  const uint64_t key = queues_.KeyOf(context);
  if (context != 0) {
    queues_.ContextGone(context);
    const std::lock_guard<std::mutex> lock(room_mu_);
    thread_memory_.Forget(context);
    queues_.AskAboutLaunches(thread_memory_.Needing());
  }
  if (context == 0 || !ledger) return;
  const Taken taken = holdings_.TakeContext(key);
  if (taken.unseen > 0) ledger->CountUnseen(-static_cast<int64_t>(taken.unseen));
  ledger->Release(taken.freed);
  ledger->Retreat(tenant_->region()->header.context_bytes.load(std::memory_order_relaxed));
}

// In a capture it becomes a node of a graph, and counts when that is made executable.
bool SliceRules::AsksLaunch(Call& call, uint64_t* bytes) {
  if (!thread_memory_.MayGrow()) return false;
  const CaptureSafe safe;
  if (!thread_memory_.IsKnown()) LookAtThreadMemory();
  *bytes = thread_memory_.GrowthFor(call.handle());
  return *bytes > 0 && !IsCapturing(StreamOf(call));
}

void SliceRules::RoomMade(uint64_t bytes, slice::Ledger& ledger) {
  ledger.Advance(bytes);
  thread_memory_.Made();
  LookAtThreadMemory();
}

void SliceRules::LookAtThreadMemory() {
  const CaptureSafe safe;
  const std::lock_guard<std::mutex> lock(room_mu_);
  queues_.HasSeveral() ? thread_memory_.Forget() : thread_memory_.Look();
  queues_.AskAboutLaunches(thread_memory_.Needing());
}

bool SliceRules::AsksLimit(const Call& call, uint64_t* bytes) {
  const auto& c = call.As<api::CuCtxSetLimitCall>();
  const api::Real& real = Real();
  t_knows_limit = real.cuCtxGetLimit && real.cuCtxGetLimit(&t_limit, c.limit) == api::CUDA_SUCCESS;
  t_free_before = FreeOnCard();
  if (c.limit == kStackSize) {
    *bytes = thread_memory_.GrowthTo(c.value);
  } else if (c.limit == kHeapSize && !IsHeapInUse()) {
    const uint64_t held = holdings_.BytesOf(HeapOf(CurrentContext()));
    *bytes = HeapBytes(c.value) > held ? HeapBytes(c.value) - held : 0;
  } else if (c.limit == kPendingLaunches && t_knows_limit && c.value > t_limit) {
    const uint64_t more = intercept::Times(c.value - t_limit, kOfPendingLaunch);
    *bytes = RoundUp(std::min(more, kMost), kBlock) + 2 * kBlock;
    const slice::Ledger* ledger = tenant_->ledger();
    const bool fits = ledger && *bytes <= ledger->free_bytes();
    if (!fits && !TakesPendingLaunches(t_limit)) *bytes = 0;
  }
  t_unmeasured = *bytes == 0;
  return *bytes > 0;
}

uint64_t SliceRules::HeldByLimit(const Call& call, uint64_t asked) {
  if (call.As<api::CuCtxSetLimitCall>().limit != kPendingLaunches) return asked;
  return FreeOnCardChanged(t_free_before) ? asked : 0;
}

void SliceRules::KeepLimit(const Call& call, uint64_t bytes, slice::Ledger& ledger) {
  if (bytes > 0 && call.As<api::CuCtxSetLimitCall>().limit != kHeapSize) ledger.Advance(bytes);
}

// The driver takes the heap when a kernel that may allocate is first launched; nobody can tell
// which those are, so it counts from here on, and is not looked for in the driver's figures.
void SliceRules::LimitSet(const Call& call) {
  const auto& c = call.As<api::CuCtxSetLimitCall>();
  if (c.limit == kStackSize) {
    thread_memory_.Set();
    return LookAtThreadMemory();
  }
  const uint64_t context = CurrentContext();
  slice::Ledger* ledger = tenant_->ledger();
  if (c.limit != kHeapSize || !ledger) return;
  const uint64_t bytes = HeapBytes(c.value);
  const Taken before = holdings_.Take(HeapOf(context));
  holdings_.KeepRange(HeapOf(context), bytes, /*managed=*/true, queues_.CurrentKey());
  ledger->CountUnseen(static_cast<int64_t>(bytes) - static_cast<int64_t>(before.unseen));
  if (before.freed > bytes) ledger->Release(before.freed - bytes);
  const std::lock_guard<std::mutex> lock(heaps_mu_);
  heaps_.insert(context);
  has_heaps_.store(true, std::memory_order_relaxed);
}

// A heap in use is in the driver's figures, once these have been compared.
bool SliceRules::SettleHeaps(slice::Ledger& ledger) {
  if (!has_heaps_.load(std::memory_order_relaxed)) return false;
  const CaptureSafe safe;
  bool settled = false;
  const std::lock_guard<std::mutex> lock(heaps_mu_);
  for (auto at = heaps_.begin(); at != heaps_.end();) {
    if (holdings_.BytesOf(HeapOf(*at)) == 0) {  // it went with its context
      at = heaps_.erase(at);
      continue;
    }
    bool in_use = false;
    if (const InContext in(*at); in) in_use = IsHeapInUse();
    if (!in_use || !tenant_->CompareBooks()) {
      ++at;
      continue;
    }
    const Taken heap = holdings_.Take(HeapOf(*at));
    ledger.CountUnseen(-static_cast<int64_t>(heap.unseen));
    ledger.Release(heap.freed);
    settled = true;
    at = heaps_.erase(at);
  }
  has_heaps_.store(!heaps_.empty(), std::memory_order_relaxed);
  return settled;
}

// Nobody else is told before, neither people nor other processes of the slice.
void SliceRules::SettleHeapsNowAndThen(slice::Ledger& ledger) {
  if (!has_heaps_.load(std::memory_order_relaxed)) return;
  const Nanos now = MonotonicNow();
  Nanos last = heaps_looked_at_.load(std::memory_order_relaxed);
  if (now - last < kSecond || !heaps_looked_at_.compare_exchange_strong(last, now)) return;
  SettleHeaps(ledger);
}

void SliceRules::RestoreLimit(const Call& call) {
  if (t_knows_limit) Real().cuCtxSetLimit(call.As<api::CuCtxSetLimitCall>().limit, t_limit);
}

}  // namespace flexai::backend::cuda
