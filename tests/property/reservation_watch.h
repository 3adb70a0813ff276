// Whether reservations hold, looked at from outside after each round: by what was decided, not by
// the scheduler's own count of who was let past whom.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "flexai/schedule/gang.h"
#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// Who has a reservation has no room even without those of its queue that come after it in the
/// order, came to their places later, but not in this round, and may be evicted.
class ReservationWatch {
 public:
  /// Both must outlive it.
  ReservationWatch(const Workload* workload, const Options* options)
      : workload_(*workload), options_(*options) {}

  /// After round `round`. Calls fault(gang, what) for each that is held up; returns how many were
  /// looked at.
  template <typename Fault>
  uint64_t Look(Session* session, uint64_t round, Fault fault) {
    session_ = session;
    round_ = round;
    NoteArrivals();
    uint64_t looks = 0;
    for (const GangId id : workload_.active()) {
      if (!Holds(id)) continue;
      const bool hindered = session->verdict(id).wait == Wait::kReserved;
      // Who cannot be made to give way at once has to mind the reservation of the first.
      const bool firm =
          !workload_[id].preemptible || (options_.claim_waits && workload_[id].least_run_s > 0);
      if (firm && hindered) continue;
      ++looks;
      const bool room = HasRoom(id, /*without_late=*/false);
      // Of unlike tasks only trying tells whether there is room, and may fail with more of it.
      if (room && !hindered && workload_[id].parts.size() == 1) {
        fault(id, " waits though it has room");
      }
      if (!room && HasRoom(id, /*without_late=*/true)) {
        fault(id, " waits for one let past its reservation");
      }
    }
    return looks;
  }

 private:
  static constexpr uint64_t kNever = UINT64_MAX;

  // Whether it waits with a reservation. Who may not start for another reason has none.
  bool Holds(GangId id) {
    auto& [since, number] = since_[id];
    const bool running = workload_.Running(id);
    if (number != workload_.number(id) || running) since = kNever;
    number = workload_.number(id);
    const Verdict& verdict = session_->verdict(id);
    const bool barred = verdict.wait == Wait::kLimit || verdict.wait == Wait::kQuota;
    if (barred || ProveNoRoom(*session_, id, /*empty=*/true)) since = kNever;
    // Of unlike or bound tasks only trying tells.
    if (since != kNever && !HasRoomAlone(id)) since = kNever;
    if (since == kNever && verdict.reserved_s >= 0) since = round_;
    return since != kNever && !running;
  }

  bool HasRoomAlone(GangId id) {
    const Session::Point point = session_->Checkpoint();
    for (const GangId other : workload_.active()) {
      if (other == id) continue;
      workload_.ForEachTask(other, [&](JobId job) {
        if (session_->snapshot().placed(job)) session_->Lift(job);
      });
    }
    const bool room = PlaceMinimum(session_, id);
    session_->Rollback(point);
    return room;
  }

  bool HasRoom(GangId id, bool without_late) {
    const Session::Point point = session_->Checkpoint();
    for (const GangId other : workload_.active()) {
      if (without_late && MayBeAskedBy(id, other)) LiftLate(other, id);
    }
    const bool room = PlaceMinimum(session_, id);
    session_->Rollback(point);
    return room;
  }

  void NoteArrivals() {
    since_.resize(workload_.size(), {kNever, 0});
    came_.resize(session_->snapshot().jobs());
    fresh_.clear();
    for (const Decision& decision : session_->decisions()) {
      const GangId gang = workload_.gang(decision.job);
      // Who is moved keeps the right to a place that it had.
      const bool comes = decision.act == Act::kStart ||
                         (decision.act == Act::kMove && workload_.past(decision.job) != 0);
      if (comes) came_[decision.job] = round_;
      // Nobody is started and evicted in one round.
      const bool starts = workload_.started_s(gang) == session_->now_s();
      if (decision.act == Act::kStart && starts) fresh_.insert(gang);
    }
  }

  bool MayBeAskedBy(GangId head, GangId other) const {
    const Gang &first = workload_[head], &gang = workload_[other];
    if (gang.queue != first.queue || !gang.preemptible || other == head) return false;
    if (fresh_.contains(other) || gang.priority > first.priority) return false;
    if (gang.priority == first.priority && workload_.number(other) < workload_.number(head)) {
      return false;
    }
    const int64_t ran = session_->now_s() - workload_.started_s(other);
    return !options_.claim_waits || ran >= gang.least_run_s;
  }

  // Its tasks that came to their places after the head got its reservation; none if others of the
  // gang, that did not, would be left alone.
  void LiftLate(GangId id, GangId head) {
    const Session::Point point = session_->Checkpoint();
    const uint64_t since = since_[head].first;
    bool all = true;
    workload_.ForEachTask(id, [&](JobId job) {
      if (!session_->snapshot().placed(job)) return;
      // Within the same round only the scheduler's own count tells.
      const bool later =
          came_[job] == since ? workload_.past(job) > workload_.reserved(head) : came_[job] > since;
      if (later) session_->Lift(job);
      all = all && later;
    });
    if (!all && !workload_.Running(id)) session_->Rollback(point);
  }

  const Workload& workload_;
  const Options& options_;
  Session* session_ = nullptr;  // of the round that is looked at
  uint64_t round_ = 0;
  // Of each gang: the round since which it has a reservation, and its number.
  std::vector<std::pair<uint64_t, uint64_t>> since_;
  std::vector<uint64_t> came_;  // of each job: the round in which it came to its place
  std::set<GangId> fresh_;      // started in this round
};

}  // namespace flexai::schedule
