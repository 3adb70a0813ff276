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
  /// Whether this task has to make room for the gang, which waits.
  bool May(GangId gang, JobId task) const;
  /// Whether anybody might have room without all those.
  bool AnyHopeful() const { return !hopeful_.empty(); }
  /// Whether this gang might.
  bool Hopeful(GangId gang) const { return hopeful_.contains(gang); }
  /// Starts the gang, with its minimum, in room that they leave: no more of them than have to go,
  /// the last first. False: that is not enough, and nothing has changed.
  bool Start(GangId gang) const;

 private:
  void FindHopeful();

  Session* session_;
  std::vector<JobId> passers_;  // tasks that came ahead of a reservation, the last first
  std::vector<std::vector<GangId>> heads_;  // of each queue: who waits with a reservation, in order
  std::set<GangId> hopeful_;
};

}  // namespace flexai::schedule
