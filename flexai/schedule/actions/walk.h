// The way that Allocate and Backfill share: gangs in the order of the queues.
#pragma once

#include <optional>

#include "flexai/schedule/gang.h"
#include "flexai/schedule/order.h"
#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// Starts each gang that is allowed and for which `place` finds room, in order. One without room is
/// given to `blocked`; where that returns false the walk ends.
template <typename Place, typename Blocked>
void Walk(Session* session, Place place, Blocked blocked) {
  Order order(session);
  while (const std::optional<GangId> next = order.Next()) {
    const GangId id = *next;
    const Gang& gang = session->workload()[id];
    if (session->workload().Complete(id)) continue;
    Verdict verdict;
    if (!session->Allowed(gang, session->Lacking(id), &verdict)) {
      session->SetVerdict(id, verdict);
      session->PassOver(id);
      continue;
    }
    const bool running = session->workload().Running(id);
    if (place(id)) {
      session->Commit();
      order.Update(gang.queue);
    } else if (!running && !blocked(id)) {
      return;
    }
  }
}

}  // namespace flexai::schedule
