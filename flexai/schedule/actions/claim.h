// A reservation holds: who was let past it gives way if that is all that is in the way. Backfill
// asks when it is the turn of one that has no room.
#pragma once

#include <set>
#include <span>
#include <vector>

#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// What can be claimed back in one walk through the order. Who comes before one that has a
/// reservation, in the same queue, may claim what that one may.
class Claims {
 public:
  explicit Claims(Session* session);
  /// Whether there is anybody who came ahead of a reservation.
  bool Any() const { return !passers_.empty(); }
  /// Whether the gang or one behind it in its queue has a reservation.
  bool Stands(GangId gang) const;
  /// Whether this task has to make room for the gang, which waits: for the `first` in the order
  /// always, for others not if its gang, or one behind that in its queue, has the older
  /// reservation. Else two who go ahead of the first would take each other's place in turns.
  bool May(GangId gang, JobId task, bool first) const;
  /// Whether anybody might have room without all those.
  bool AnyHopeful() const { return !hopeful_.empty(); }
  /// Whether this gang might.
  bool Hopeful(GangId gang) const { return hopeful_.contains(gang); }
  /// Starts the gang, with its minimum, in room that they leave: no more of them than have to go,
  /// the last first. False: that is not enough, and nothing has changed.
  bool Start(GangId gang, bool first) const;

 private:
  void FindHopeful();
  uint64_t Oldest(GangId gang) const;

  Session* session_;
  std::vector<JobId> passers_;  // tasks that came ahead of a reservation, the last first
  std::vector<std::vector<GangId>> heads_;  // of each queue: who waits with a reservation, in order
  std::vector<std::vector<GangId>> holders_;  // the same with those that run ahead of another's
  std::set<GangId> hopeful_;
};

}  // namespace flexai::schedule
