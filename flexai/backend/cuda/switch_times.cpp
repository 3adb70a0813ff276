#include "flexai/backend/cuda/switch_times.h"

#include <algorithm>

namespace flexai::backend::cuda {
namespace {

namespace rm = ::flexai::api::rm;

// The next process starts this soon after one that it drove out: both are parts of one switch.
constexpr Nanos kAtOnce = 500 * kMicrosecond;
constexpr Nanos kForgetAfter = 60 * kSecond;
constexpr size_t kMostProcesses = 4096;
// What the kernel module writes instead of the pid of another user's process, and of its own.
constexpr uint32_t kHidden = 0;
constexpr uint32_t kKernel = 0xffffffff;

bool IsProcess(uint32_t pid) { return pid != kHidden && pid != kKernel; }

}  // namespace

void SwitchTimes::Add(const SwitchRecord& record) {
  const Nanos at = static_cast<Nanos>(record.body.timestamp) - skew_;
  const uint16_t sequence = record.body.seqno;
  if (!first_ && sequence != static_cast<uint16_t>(sequence_ + 1)) Lose();
  first_ = false;
  sequence_ = sequence;
  horizon_ = std::max(horizon_, at);
  switch (record.body.tag) {
    case rm::NV_EVENT_BUFFER_FECS_CTXSWTAG_CONTEXT_START:
    case rm::NV_EVENT_BUFFER_FECS_CTXSWTAG_SIMPLE_START:
      Start(record.body.pid, at);
      break;
    case rm::NV_EVENT_BUFFER_FECS_CTXSWTAG_SAVE_END:
    case rm::NV_EVENT_BUFFER_FECS_CTXSWTAG_SIMPLE_END:
      End(record.body.pid, at);
      break;
    default:
      return;
  }
  Forget();
}

void SwitchTimes::Start(uint32_t pid, Nanos at) {
  if (sliced_) {
    if (last_.end < 0) last_.end = at;
    Settle(pid != last_.pid && at - last_.end <= kAtOnce);
  }
  last_ = {pid, at, -1};
  sliced_ = true;
  known_ = true;
  if (IsProcess(pid)) processes_[pid].seen = at;
}

void SwitchTimes::End(uint32_t pid, Nanos at) {
  known_ = true;
  // One whose start is unknown. So is the end of the one that is still open, then.
  if (!sliced_ || last_.end >= 0) return;
  if (last_.pid != pid) {
    lost_ = true;
    sliced_ = false;
    return;
  }
  last_.end = at;
}

void SwitchTimes::Lose() {
  // What had the card before may have lost it at any time since: only what is certain counts.
  if (sliced_) {
    if (last_.end < 0) last_.end = horizon_;
    Settle(/*preempted=*/true);
  }
  known_ = false;
  lost_ = true;
}

void SwitchTimes::Advance(Nanos now) {
  if (!known_) return;
  horizon_ = std::max(horizon_, now);
  if (sliced_ && last_.end >= 0 && horizon_ - last_.end > kAtOnce) Settle(/*preempted=*/false);
  Forget();
}

bool SwitchTimes::TakeLost() {
  const bool lost = lost_ || !known_;
  lost_ = false;
  return lost;
}

void SwitchTimes::Settle(bool preempted) {
  sliced_ = false;
  if (!IsProcess(last_.pid)) return;
  Process& process = processes_[last_.pid];
  const Nanos cost = preempted ? kPreempted : kRanEmpty;
  process.total += std::max<Nanos>(last_.end - last_.start - cost, 0);
  process.seen = last_.end;
}

// The greater cost, until the lesser is certain: a total never falls.
Nanos SwitchTimes::SoFar(const Slice& slice) const {
  const Nanos end = slice.end < 0 ? horizon_ : slice.end;
  return std::max<Nanos>(end - slice.start - kPreempted, 0);
}

void SwitchTimes::Forget() {
  const bool crowded = processes_.size() > kMostProcesses;
  if (!crowded && horizon_ - forgotten_at_ < kSecond) return;
  forgotten_at_ = horizon_;
  const auto held = [&](uint32_t pid) { return sliced_ && last_.pid == pid; };
  std::erase_if(processes_, [&](const auto& one) {
    return !held(one.first) && horizon_ - one.second.seen > kForgetAfter;
  });
  while (processes_.size() > kMostProcesses) {
    const auto oldest = std::min_element(
        processes_.begin(), processes_.end(),
        [](const auto& a, const auto& b) { return a.second.seen < b.second.seen; });
    processes_.erase(oldest);
  }
}

std::vector<device::ProcessTime> SwitchTimes::Totals() const {
  std::vector<device::ProcessTime> totals;
  totals.reserve(processes_.size());
  for (const auto& [pid, process] : processes_) {
    const bool current = sliced_ && last_.pid == pid;
    totals.push_back({pid, process.total + (current ? SoFar(last_) : 0)});
  }
  return totals;
}

}  // namespace flexai::backend::cuda
