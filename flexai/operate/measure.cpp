// What drivers say of tenants: memory, compared with the tenants' books once a second, and card
// time.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "flexai/operate/daemon.h"

namespace flexai::operate {
namespace {

// Card time of all of the slice's processes; none if none of them has been seen on the card. A
// process may hold several slots.
std::optional<Nanos> TimeOf(const SliceRecord& slice, const device::CardTime& time) {
  std::optional<Nanos> sum;
  for (const device::ProcessTime& one : time.processes) {
    const auto& ours = slice.processes;
    if (std::any_of(ours.begin(), ours.end(), [&](const auto& p) { return p->pid == one.pid; })) {
      sum = sum.value_or(0) + one.total;
    }
  }
  return sum;
}

}  // namespace

// What is granted when the question leaves: an answer counts for a process whose books did not move
// before it came. A context that is only just being made holds a part of what it will: it is known
// to be there from when the process expects it to be booked, or waits for the answer.
void Daemon::AskMeter() {
  if (!meter_.alive() || meter_.waits()) return;
  for (auto& [id, slice] : slices_) {
    const int part = slice->part;
    for (auto& process : slice->processes) {
      const slice::ProcessSlot& slot = slice->region->slots[process->slot];
      process->asked_unforeseen = slot.unforeseen.load();
      process->asked_granted = slot.granted.load();
      process->asked_used = slot.used.load();
      process->was_asked = true;
      process->has_context =
          slot.advance.load() > 0 ||
          std::any_of(comparing_.begin(), comparing_.end(), [&](const Comparing& one) {
            return one.pid == process->pid && one.part == part;
          });
    }
  }
  meter_.Ask();
}

void Daemon::OnMeter() {
  const CardMeter::News news = meter_.Take();
  if (!news.times.empty()) OnCardTimes(news.times);
  if (news.answered) OnCardUses(news.uses);
  if (!meter_.alive()) {
    TellCompared(false);
  } else if (!meter_.waits()) {
    TellCompared(news.answered);
  }
}

// A process may ask for it where its next step depends on it, such as its first context.
nlohmann::json Daemon::AskToCompare(const Connection& peer, const nlohmann::json& request) {
  const auto part = request.find("part");
  const bool told = part != request.end() && part->is_number_unsigned();
  if (!meter_.alive()) return {{"compared", false}};
  comparing_.push_back({peer.fd(), peer.pid(), told ? part->get<int>() : 0, !meter_.waits()});
  AskMeter();
  return nullptr;  // the answer comes with the helper's
}

// Those whose question left after they came; for the others it leaves now.
void Daemon::TellCompared(bool compared) {
  bool more = false;
  for (Comparing& one : comparing_) {
    if (one.asked || !meter_.alive()) {
      Reply(*connections_.at(one.connection), {{"compared", compared}});
      one.connection = -1;
    } else {
      one.asked = more = true;
    }
  }
  std::erase_if(comparing_, [](const Comparing& one) { return one.connection < 0; });
  if (more) AskMeter();
}

void Daemon::OnCardUses(const std::vector<device::ProcessUse>& uses) {
  for (auto& [id, slice] : slices_) {
    const model::Card& card = cards_[slice->card];
    const bool known = std::any_of(uses.begin(), uses.end(),
                                   [&](const auto& use) { return use.card_uuid == card.uuid; });
    std::set<pid_t> asked;
    for (auto& process : slice->processes) {
      if (std::exchange(process->was_asked, false)) asked.insert(process->pid);
    }
    for (const pid_t pid : asked) {
      uint64_t bytes = 0;
      for (const device::ProcessUse& use : uses) {
        if (use.pid == pid && use.card_uuid == card.uuid) bytes = use.bytes;
      }
      known ? Compare(*slice, pid, bytes) : Settle(*slice, pid);
    }
  }
}

bool Daemon::RecordDropped(const std::string& uuid) const {
  for (size_t card = 0; card < cards_.size(); ++card) {
    if (cards_[card].uuid == uuid) return (levers_.dropped(card) & device::kRecordLever) != 0;
  }
  return false;
}

void Daemon::OnCardTimes(const std::vector<device::CardTime>& times) {
  for (const device::CardTime& time : times) {
    if (RecordDropped(time.card_uuid)) continue;
    traced_at_[time.card_uuid] = MonotonicNow();
    for (auto& [id, slice] : slices_) {
      if (cards_[slice->card].uuid != time.card_uuid) continue;
      if (const std::optional<Nanos> traced = TimeOf(*slice, time)) {
        slice->received.Traced(time.horizon, *traced, time.lost);
      } else {
        slice->received.Rebase();
      }
    }
  }
}

// A process may hold several slots, one for each library of ours in it: the first gets the booking.
// While its books move, only what is beyond all that it may have been granted is sure: that is
// booked if the process waits for more to show, and the rest is left to the next comparison.
void Daemon::Compare(SliceRecord& slice, pid_t pid, uint64_t bytes) {
  Process* first = nullptr;
  uint64_t granted = 0, at_most = 0;
  bool moved = false, waits = false;
  for (auto& process : slice.processes) {
    if (process->pid != pid) continue;
    const slice::ProcessSlot& slot = slice.region->slots[process->slot];
    const uint64_t used = slot.used.load(std::memory_order_seq_cst);
    const uint64_t claim = slot.claim.load(std::memory_order_seq_cst);
    moved |= used != process->asked_used || claim != 0;
    waits |= slot.compared.load() != process->asked_unforeseen;
    const uint64_t unseen = slot.unseen.load(std::memory_order_seq_cst);
    const uint64_t since = slot.granted.load() - process->asked_granted;
    const uint64_t most = process->asked_used + since + claim;
    granted += used > unseen ? used - unseen : 0;
    at_most += most > unseen ? most - unseen : 0;
    if (!first) first = process.get();
  }
  if (moved) {
    if (!waits || bytes <= at_most) return;
    first->shown = true;
    std::atomic<uint64_t>& booked = slice.region->slots[first->slot].booked;
    booked.store(std::max(booked.load(), bytes - at_most), std::memory_order_seq_cst);
    return;
  }
  if (!first) return;
  // One that the driver never showed may live in another namespace: nothing is known of it, now or
  // later. One that it showed, and that was granted nothing, holds nothing any more.
  if (bytes > 0 || (granted == 0 && first->shown)) Book(slice, *first, bytes, granted);
  Settle(slice, pid);
}

// Nothing more will show of what was unforeseen when the driver was asked.
void Daemon::Settle(SliceRecord& slice, pid_t pid) {
  for (auto& process : slice.processes) {
    if (process->pid != pid) continue;
    slice.region->slots[process->slot].compared.store(process->asked_unforeseen,
                                                      std::memory_order_release);
  }
}

void Daemon::Book(SliceRecord& slice, Process& first, uint64_t bytes, uint64_t granted) {
  first.shown = true;
  uint64_t beyond = bytes > granted ? bytes - granted : 0;
  std::atomic<uint64_t>& booked = slice.region->slots[first.slot].booked;
  // A pool may have given memory back that the process has not taken out of its books yet. That
  // must not eat up what its context holds, which would be missing once it has.
  if (bytes > 0) beyond = std::max(beyond, std::min(booked.load(), context_bytes_[slice.card]));
  booked.store(beyond, std::memory_order_seq_cst);
  uint64_t& least = context_bytes_[slice.card];
  // What a process holds that has allocated nothing yet is what using the card costs.
  if (beyond > 0 && first.has_context && first.measured++ == 0 && granted == 0 &&
      (least == 0 || beyond < least)) {
    least = beyond;
    contexts_.Keep(cards_[slice.card], least);
  }
  slice.header().context_bytes.store(context_bytes_[slice.card], std::memory_order_relaxed);
  for (auto& process : slice.processes) {
    if (process->pid != first.pid) continue;
    slice.region->slots[process->slot].measures.fetch_add(1, std::memory_order_release);
  }
}

}  // namespace flexai::operate
