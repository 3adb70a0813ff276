// A reservation holds: whom Backfill let past it, because it would have ended in time, gives way if
// it did not and is all that is in the way.
#include <algorithm>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/room.h"

namespace flexai::schedule {
namespace {

bool ClaimFor(Session* session, GangId id) {
  const Workload& workload = session->workload();
  Verdict verdict;
  if (!session->Allowed(workload[id], session->Lacking(id), &verdict)) return false;
  const Session::Point point = session->Checkpoint();
  RoomRules rules;
  rules.shrink = false;
  rules.may_touch = [session, id](JobId job) {
    const Workload& all = session->workload();
    const GangId other = all.gang(job);
    const bool ahead = all[other].queue == all[id].queue && all[other].priority > all[id].priority;
    return !ahead && all.let_past(other) && all.started_s(other) > all.reserved_s(id);
  };
  if (PlaceGang(session, id, MakingRoom(&rules))) {
    // Who needs nothing from others waits for its turn.
    if (session->TouchedOthers(point)) return true;
  }
  session->Rollback(point);
  return false;
}

}  // namespace

void Claim(Session* session) {
  const Workload& workload = session->workload();
  const std::span<const GangId> running = session->running();
  if (std::none_of(running.begin(), running.end(),
                   [&](GangId id) { return workload.let_past(id); })) {
    return;
  }
  std::vector<GangId> heads;
  for (const GangId id : workload.active()) {
    if (workload.reserved_s(id) != Workload::kNever && !workload.Running(id)) heads.push_back(id);
  }
  std::stable_sort(heads.begin(), heads.end(), [&](GangId a, GangId b) {
    return workload.reserved_s(a) < workload.reserved_s(b);
  });
  for (const GangId id : heads) {
    if (ClaimFor(session, id)) session->Commit();
  }
}

}  // namespace flexai::schedule
