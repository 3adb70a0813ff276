#include "flexai/operate/slice_record.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace flexai::operate {
namespace {

// A gap between two pieces of work that is no longer than this still counts as work.
constexpr Nanos kIdleAfter = 3 * kMillisecond;
// Launches tell less than worker threads do, so they count for longer.
constexpr Nanos kIdleAfterLaunch = 50 * kMillisecond;
// Time slices of tenants of different priority on one card. A driver's own are 1 or 2 ms.
constexpr uint32_t kUrgentSliceUs = 20000;
constexpr uint32_t kYieldingSliceUs = 100;
// A process that is itself stopped (SIGSTOP) follows much later: nothing ran meanwhile.
constexpr Nanos kMostLateHold = 10 * kMillisecond;
// Workers stop within microseconds; what they run this long after a hold is disobedience.
constexpr Nanos kObedienceGrace = 5 * kMillisecond;
constexpr Nanos kDisobedience = 4 * kMillisecond;

}  // namespace

std::string PartId(const std::string& slice, int part, int cards) {
  return cards > 1 ? slice + "." + std::to_string(part) : slice;
}

SliceRecord::~SliceRecord() {
  if (leader_pidfd >= 0) close(leader_pidfd);
  if (report_fd >= 0) close(report_fd);
}

void SliceRecord::Publish(const std::string& card_uuid, uint64_t context_bytes) {
  slice::RegionHeader& h = header();
  strncpy(h.card_uuid, card_uuid.c_str(), sizeof(h.card_uuid) - 1);
  h.context_bytes.store(context_bytes, std::memory_order_relaxed);
  strncpy(h.card, spec.card.c_str(), sizeof(h.card) - 1);
  strncpy(h.command, command.c_str(), sizeof(h.command) - 1);
  h.owner_uid = owner;
  h.leader_pid = leader;
  h.created = created;
  h.memory_limit.store(spec.memory, std::memory_order_relaxed);
  h.share.store(spec.share, std::memory_order_relaxed);
  h.limit.store(spec.limit, std::memory_order_relaxed);
  h.priority.store(static_cast<uint32_t>(spec.priority), std::memory_order_relaxed);
  h.paused.store(paused ? 1 : 0, std::memory_order_relaxed);
}

bool SliceRecord::Active() {
  bool active = false;
  bool metered = false;
  uint64_t launches = 0;
  for (auto& process : processes) {
    const slice::ProcessSlot& slot = region->slots[process->slot];
    const uint32_t workers = slot.workers.load(std::memory_order_relaxed);
    if (workers != process->known_workers) {
      process->known_workers = workers;
      process->meter.Find(kWorkerThreadName);
    }
    metered = metered || process->meter.workers() > 0;
    // No short cut: each meter must see what it saw.
    active = process->meter.Active() || active;
    launches += slot.launches.load(std::memory_order_relaxed);
  }
  if (!metered && launches != seen_launches_) {
    active_at_ += kIdleAfterLaunch - kIdleAfter;
    active = true;
  }
  seen_launches_ = launches;
  return active;
}

// Libraries without a lever, such as those that manage cards, launch nothing.
bool SliceRecord::Tells() const {
  bool one_tells = false;
  for (const auto& process : processes) {
    const slice::ProcessSlot& slot = region.get()->slots[process->slot];
    if (slot.lever.load(std::memory_order_relaxed) == 0) continue;
    if ((slot.queues.load(std::memory_order_relaxed) & slice::QueueWatch::kTells) == 0)
      return false;
    one_tells = true;
  }
  return one_tells;
}

// What queues tell is as true for a tenant that is held: its work waits in them.
bool SliceRecord::Queued(Nanos now) {
  bool queued = false;
  Nanos emptied_at = 0;
  for (const auto& process : processes) {
    const slice::ProcessSlot& slot = region->slots[process->slot];
    queued =
        queued || (slot.queues.load(std::memory_order_acquire) & slice::QueueWatch::kFull) != 0;
    emptied_at = std::max<Nanos>(emptied_at, slot.emptied_at.load(std::memory_order_acquire));
  }
  if (queued) active_at_ = now;
  gaps_.Look(now, queued, emptied_at);
  return queued || now - emptied_at < gaps_.grace();
}

void SliceRecord::Rank(bool below, bool above) {
  below_ = below;
  const uint32_t us = below ? kYieldingSliceUs : above ? kUrgentSliceUs : 0;
  header().time_slice.store(us, std::memory_order_relaxed);
}

bool SliceRecord::Busy(Nanos now) {
  if (processes.empty()) return busy = false;
  tells_ = Tells();
  if (tells_) return busy = Queued(now);
  // A held tenant cannot show that it has work; it had when it was held.
  if (!run_ && busy) return true;
  if (Active()) active_at_ = std::max(active_at_, now);
  return busy = now - active_at_ < kIdleAfter;
}

void SliceRecord::SetRun(bool run, bool handed_over, Nanos now) {
  if (run == run_) return;
  run_ = run;
  changed_at_ = now;
  lateness_told_ = handed_over || !busy;
  if (run) active_at_ = now;
  for (auto& process : processes) process->time_when_held = -1;
  std::atomic<uint32_t>& gate = header().gate;
  const uint32_t held = slice::kGateHeld | (handed_over ? slice::kGateHandedOver : 0);
  gate.store(slice::NextGate(gate.load(std::memory_order_relaxed), run ? 0 : held),
             std::memory_order_release);
  slice::FutexWake(gate);
}

Nanos SliceRecord::TakeLateness() {
  if (lateness_told_) return 0;
  const uint32_t gate = header().gate.load(std::memory_order_relaxed);
  Nanos latest = changed_at_;
  for (const auto& process : processes) {
    const slice::ProcessSlot& slot = region->slots[process->slot];
    if (slot.obeyed.load(std::memory_order_acquire) != gate) return 0;
    latest = std::max<Nanos>(latest, slot.turned_at.load(std::memory_order_relaxed));
  }
  lateness_told_ = true;
  const Nanos late = latest - changed_at_;
  // One that does not start is soon idle, and charged no longer.
  return run_ ? -std::min(late, kIdleAfter) : std::min(late, kMostLateHold);
}

Nanos SliceRecord::Waited() {
  Nanos sum = 0;
  for (auto& process : processes) sum += process->meter.Waited();
  return sum;
}

Nanos SliceRecord::ProcessTime() const {
  Nanos sum = 0;
  for (const auto& process : processes) sum += process->meter.ProcessTime();
  return sum;
}

void SliceRecord::BeginTurn(Nanos others) {
  in_turn_ = true;
  others_at_begin_ = others;
  waited_at_begin_ = Waited();
}

void SliceRecord::EndTurn(Nanos others, int cores) {
  if (!std::exchange(in_turn_, false) || cores <= 0) return;
  // Its own threads may have been in its workers' way too: that is its own affair, here as alone.
  const Nanos lost = std::min(others - others_at_begin_, Waited() - waited_at_begin_);
  lost_ += std::max<Nanos>(lost, 0) / cores;
}

Nanos SliceRecord::TakeCorrection() { return TakeLateness() - std::exchange(lost_, 0); }

void SliceRecord::CheckObedience(Nanos now) {
  if (run_ || now - changed_at_ < kObedienceGrace) return;
  for (auto& process : processes) {
    const Nanos time = process->meter.CpuTime();
    if (process->time_when_held < 0) {
      process->time_when_held = time;
    } else if (time - process->time_when_held > kDisobedience) {
      process->warning = "process " + std::to_string(process->pid) +
                         " computes although it is held: it blocks the lever";
    }
  }
}

void SliceRecord::ForgetProcess(size_t index) {
  received.Rebase();
  const Process& process = *processes[index];
  ClearSlot(process.slot);
  if (process.pidfd >= 0) close(process.pidfd);
  processes.erase(processes.begin() + static_cast<std::ptrdiff_t>(index));
}

void SliceRecord::ClearSlot(uint32_t index) {
  slice::ProcessSlot& slot = region->slots[index];
  // What it was refused stays told.
  refused_by_the_gone += slot.refused.exchange(0, std::memory_order_relaxed);
  slot.used.store(0, std::memory_order_seq_cst);
  slot.claim.store(0, std::memory_order_seq_cst);
  slot.booked.store(0, std::memory_order_seq_cst);
  slot.advance.store(0, std::memory_order_seq_cst);
  slot.host_pid.store(0, std::memory_order_relaxed);
  slot.unseen.store(0, std::memory_order_relaxed);
  slot.unforeseen.store(0, std::memory_order_relaxed);
  slot.compared.store(0, std::memory_order_relaxed);
  slot.workers.store(0, std::memory_order_relaxed);
  slot.queues.store(0, std::memory_order_relaxed);
  slot.emptied_at.store(0, std::memory_order_relaxed);
  slot.owner.store(0, std::memory_order_release);
}

void SliceRecord::Sample(Nanos now) {
  const Nanos elapsed = now - sampled_at_;
  if (elapsed < kSecond) return;
  if (sampled_at_ != 0) {
    received_ratio =
        static_cast<double>(account.received - sampled_received_) / static_cast<double>(elapsed);
  }
  sampled_at_ = now;
  sampled_received_ = account.received;
}

}  // namespace flexai::operate
