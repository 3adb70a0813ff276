#include "flexai/slice/stage.h"

#include <stdio.h>

#include <algorithm>

#include "flexai/base/log.h"
#include "flexai/model/units.h"

namespace flexai::slice {

using intercept::Call;
using intercept::Event;

namespace {

// A program that retries a refused allocation in a loop shall not fill the log.
constexpr Nanos kTellEvery = kSecond;

// What Before leaves for After when a call takes no memory. No limit is as large.
constexpr uint64_t kUncounted = ~uint64_t{0};

}  // namespace

bool SliceStage::Listens(const intercept::FnInfo& info) {
  switch (info.event) {
    case Event::kMemoryAlloc:
    case Event::kMemoryFree:
    case Event::kMemoryHold:
    case Event::kMemoryInfo:
    case Event::kDeviceList:
    case Event::kDeviceQuery:
    case Event::kContextCreate:
    case Event::kStreamCreate:
    case Event::kLaunch:
    case Event::kLaunchGraph:
      return true;
    default:
      return rules_->Watches(info);
  }
}

[[gnu::hot]] bool SliceStage::Before(Call& call) {
  switch (call.info().event) {
    case Event::kLaunch:
    case Event::kLaunchGraph:
      return BeforeLaunch(call);
    case Event::kMemoryAlloc:
    case Event::kMemoryHold:
      return BeforeAlloc(call);
    case Event::kMemoryFree:
      if (Ledger* ledger = tenant_->ledger()) rules_->Drop(call, *ledger);
      return true;
    case Event::kContextCreate:
    case Event::kStreamCreate:
      if (!BeforeAlloc(call)) return false;
      rules_->BeforeStart(call);
      return true;
    case Event::kDeviceList:
      rules_->BeforeStart(call);
      return true;
    case Event::kMemoryInfo:
    case Event::kDeviceQuery:
      return true;
    default:
      rules_->BeforeWatched(call);
      return true;
  }
}

[[gnu::hot]] void SliceStage::After(Call& call) {
  switch (call.info().event) {
    case Event::kLaunch:
    case Event::kLaunchGraph:
      rules_->Launched(call);
      return AfterAlloc(call);
    case Event::kMemoryAlloc:
      return AfterAlloc(call);
    case Event::kMemoryFree:
      if (Ledger* ledger = tenant_->ledger()) rules_->Dropped(call, *ledger);
      return;
    case Event::kMemoryHold:
      AfterAlloc(call);
      if (!call.ok()) return;
      rules_->Hold(call);
      if (rules_->TookUnmeasured(call)) CheckUnmeasured(call);
      return;
    case Event::kDeviceQuery:
    case Event::kMemoryInfo:
      if (const Ledger* ledger = tenant_->ledger(); ledger && call.ok()) {
        rules_->Answer(call, *ledger);
      }
      return;
    case Event::kContextCreate:
      AfterAlloc(call);
      if (call.ok() && rules_->TookUnmeasured(call)) CheckUnmeasured(call);
      return rules_->AfterStart(call);
    case Event::kStreamCreate:
      AfterAlloc(call);
      return rules_->AfterStart(call);
    case Event::kDeviceList:
      return rules_->AfterStart(call);
    default:
      if (rules_->AfterWatched(call)) CheckUnmeasured(call);
      return;
  }
}

// The rules first, because what waits at the gate is work, too.
[[gnu::hot]] bool SliceStage::BeforeLaunch(Call& call) {
  const bool told = rules_->Launches(call);
  PassGate();
  if (!BeforeAlloc(call)) {
    rules_->Launched(call);
    return false;
  }
  if (!told && call.scratch() == kUncounted) call.SkipAfter();
  return true;
}

[[gnu::hot]] Ledger* SliceStage::FindLedger(Call& call) {
  Ledger* ledger = tenant_->ledger();
  if (ledger) return ledger;
  // After a fork, or when no daemon could be found at the start.
  const Status attached = tenant_->Attach();
  ledger = tenant_->ledger();
  if (!ledger) {
    Notice("slice: %s refused, because the slice cannot be reached: %s", call.info().name,
           attached.ToString().c_str());
  }
  return ledger;
}

[[gnu::hot]] bool SliceStage::BeforeAlloc(Call& call) {
  call.scratch() = kUncounted;
  uint64_t asked = 0;
  if (!rules_->Asks(call, &asked)) return true;
  Ledger* ledger = FindLedger(call);
  const auto reserve = [&] { return asked == 0 || ledger->Reserve(asked).ok(); };
  // What the driver gave back it may need again for this call.
  const auto recovered = [&] {
    if (!rules_->Recover(*ledger)) return false;
    rules_->Failed(call);
    asked = 0;
    rules_->Asks(call, &asked);
    return reserve();
  };
  bool granted = ledger && (reserve() || recovered());
  if (granted && asked > 0 && ledger->MustCompare()) {
    granted = CompareNear(call, *ledger, &asked) || recovered();
  }
  if (!granted && ledger) granted = CompareAndTryAgain(call, *ledger, &asked);
  if (!granted) {
    rules_->Failed(call);
    if (ledger) TellRefused(call, *ledger, asked);
    call.Refuse(Code::kResourceExhausted);
    return false;
  }
  if (compared_at_.load(std::memory_order_relaxed) != kNever) {
    compared_at_.store(kNever, std::memory_order_relaxed);
  }
  call.scratch() = asked;
  return true;
}

[[gnu::hot]] void SliceStage::AfterAlloc(Call& call) {
  const uint64_t asked = call.scratch();
  Ledger* ledger = tenant_->ledger();
  if (asked == kUncounted || !ledger) return;
  if (!call.ok()) {
    rules_->Failed(call);
    return ledger->Release(asked);
  }
  const uint64_t held = rules_->Held(call, asked);
  if (held > asked && !ledger->Reserve(held - asked).ok()) {
    rules_->Undo(call);
    ledger->Release(asked);
    TellRefused(call, *ledger, held);
    return call.Refuse(Code::kResourceExhausted);
  }
  if (held < asked) ledger->Release(asked - held);
  rules_->Keep(call, held, *ledger);
}

// What the driver took unforeseen shall show before the last of the slice is given away. Without a
// daemon nobody knows better than the books, and nobody waits for one. A process whose books move
// while the driver is asked is left out of a comparison: then once more, and later again. Where
// that was of no use for others, it is left for ever longer, but not what is new of its own.
bool SliceStage::CompareNear(Call& call, Ledger& ledger, uint64_t* asked) {
  constexpr int kComparisons = 8;
  const bool pauses = MonotonicNow() < compare_again_at_.load(std::memory_order_relaxed);
  if ((pauses && !ledger.is_own_stale()) || !tenant_->HearsDaemon()) return true;
  ledger.Release(*asked);
  for (int i = 0; i < (pauses ? 1 : kComparisons) && ledger.is_stale(); ++i) {
    if (!tenant_->CompareBooks()) break;
  }
  if (!ledger.is_stale()) {
    compare_pause_ = 0;
    compare_again_at_ = 0;
  } else if (!pauses) {
    compare_pause_ = std::clamp(2 * compare_pause_, kMillisecond, kSecond);
    compare_again_at_ = MonotonicNow() + compare_pause_;
  }
  rules_->Failed(call);
  *asked = 0;
  rules_->Asks(call, asked);
  return *asked == 0 || ledger.Reserve(*asked).ok();
}

// Some books rest on figures of the driver, and the last ones may be a second old: contexts that
// ended since are still in them, what may live on elsewhere, and memory that the driver had kept
// and has taken for new allocations. Whoever is refused again and again, and is granted nothing in
// between, is compared once: where grants come and go, the same sum may be made of other figures.
bool SliceStage::CompareAndTryAgain(Call& call, Ledger& ledger, uint64_t* asked) {
  int comparisons = 0;
  if (call.info().event == Event::kContextCreate || ledger.has_advance()) {
    comparisons = 2;  // what was advanced is settled by the second
  } else if (ledger.has_bookings() &&
             compared_at_.load(std::memory_order_relaxed) != ledger.used()) {
    comparisons = 1;
  }
  if (comparisons == 0) return false;
  for (int i = 0; i < comparisons; ++i) {
    if (!tenant_->CompareBooks()) return false;
    rules_->Failed(call);
    *asked = 0;
    rules_->Asks(call, asked);
    if (ledger.Reserve(*asked).ok()) return true;
  }
  compared_at_.store(ledger.used(), std::memory_order_relaxed);
  return false;
}

// What it took shows only now.
void SliceStage::CheckUnmeasured(Call& call) {
  Ledger* ledger = tenant_->ledger();
  if (!ledger || !tenant_->CompareBooks()) return;
  if (ledger->Reserve(0).ok()) return;
  if (call.info().event == Event::kContextCreate) {
    const uint64_t takes = tenant_->region()->header.context_bytes.load(std::memory_order_relaxed);
    TellNoContext(call, *ledger, takes, std::max(ledger->used(), takes));
  } else {
    TellRefused(call, *ledger, 0);
  }
  rules_->Undo(call);
  call.Refuse(Code::kResourceExhausted);
  // So that what was undone is not in the books of the next.
  if (call.info().event != Event::kContextCreate) tenant_->CompareBooks();
}

void SliceStage::TellNoContext(const Call& call, const Ledger& ledger, uint64_t takes,
                               uint64_t needed) const {
  Notice(
      "slice %s: %s refused: using the card at all takes %s (%llu bytes), used %s, limit %s; give "
      "the slice more than %lluMi: flexai run --memory, or flexai set %s --memory",
      tenant_->slice(), call.info().name, model::FormatBytes(takes).c_str(),
      static_cast<unsigned long long>(takes), model::FormatBytes(needed - takes).c_str(),
      model::FormatBytes(ledger.limit()).c_str(),
      static_cast<unsigned long long>((needed + model::kMiB - 1) / model::kMiB), tenant_->slice());
}

void SliceStage::TellRefused(const Call& call, const Ledger& ledger, uint64_t asked) {
  const Nanos now = MonotonicNow();
  Nanos last = last_told_.load(std::memory_order_relaxed);
  const bool due = last == 0 || now - last >= kTellEvery;
  if (!due || !last_told_.compare_exchange_strong(last, now)) {
    untold_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (call.info().event == Event::kContextCreate) {
    return TellNoContext(call, ledger, asked, ledger.used() + asked);
  }
  const uint32_t more = untold_.exchange(0, std::memory_order_relaxed);
  // Code: asked for nothing by number, and holds what it holds.
  const uint64_t used = asked > 0 ? ledger.used() : std::min(ledger.used(), ledger.limit());
  if (asked == 0) asked = ledger.used() - used;
  char note[64] = "";
  if (more > 0) snprintf(note, sizeof(note), " (and %u times before)", more);
  Notice(
      "slice %s: %s refused%s: asked %s (%llu bytes), used %s (%llu), limit %s (%llu); free "
      "memory, or raise the limit: flexai set %s --memory %lluMi",
      tenant_->slice(), call.info().name, note, model::FormatBytes(asked).c_str(),
      static_cast<unsigned long long>(asked), model::FormatBytes(used).c_str(),
      static_cast<unsigned long long>(used), model::FormatBytes(ledger.limit()).c_str(),
      static_cast<unsigned long long>(ledger.limit()), tenant_->slice(),
      static_cast<unsigned long long>((used + asked + model::kMiB - 1) / model::kMiB));
}

}  // namespace flexai::slice
