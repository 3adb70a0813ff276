#include "flexai/schedule/actions.h"
#include "flexai/schedule/actions/walk.h"

namespace flexai::schedule {

void Allocate(Session* session) {
  const auto place = [session](GangId id) { return PlaceGang(session, id); };
  Walk(session, place, [session](GangId id) {
    session->SetVerdict(id, {.wait = Wait::kNoRoom});
    if (!ProveNoRoom(*session, id, /*empty=*/true)) return false;
    // A gang for which even the empty cluster has no room holds nobody up.
    session->DropReservation(id);
    return true;
  });
}

void RunCycle(Session* session) {
  Restore(session, /*all=*/false);
  Allocate(session);
  if (session->options().consolidate) Consolidate(session);
  Reclaim(session);
  Preempt(session);
  Backfill(session);
  Restore(session, /*all=*/true);
  Defragment(session);
}

}  // namespace flexai::schedule
