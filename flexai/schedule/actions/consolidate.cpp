#include <algorithm>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/actions/walk.h"
#include "flexai/schedule/room.h"

namespace flexai::schedule {
namespace {

bool Move(Session* session, GangId id) {
  const Gang& gang = session->workload()[id];
  int64_t idle = 0;
  for (NodeId node = 0; node < session->snapshot().nodes(); ++node) {
    idle += session->snapshot().idle(node);
  }
  if (idle < session->Lacking(id)[kCards]) return false;
  size_t tasks = 0;
  for (const Part& part : gang.parts) tasks += part.minimum;
  const Session::Point point = session->Checkpoint();
  RoomRules rules{.may_touch =
                      [session, id](JobId job) {
                        const Workload& workload = session->workload();
                        const GangId other = workload.gang(job);
                        return other != id && session->now_s() - workload.started_s(other) >=
                                                  workload[other].least_run_s;
                      },
                  .shrink = false,
                  .evict = false,
                  .holds =
                      [session, tasks, point] {
                        const auto decisions = session->tentative().subspan(point.decisions);
                        const auto moves =
                            std::count_if(decisions.begin(), decisions.end(),
                                          [](const auto& d) { return d.act == Act::kMove; });
                        return static_cast<size_t>(moves) <= session->options().most_moves * tasks;
                      }};
  if (PlaceGang(session, id, MakingRoom(&rules))) return true;
  session->Rollback(point);
  return false;
}

}  // namespace

void Consolidate(Session* session) {
  const auto place = [session](GangId id) { return PlaceGang(session, id) || Move(session, id); };
  Walk(session, place, [session](GangId id) {
    session->SetVerdict(id, {.wait = Wait::kNoRoom});
    return ProveNoRoom(*session, id, /*empty=*/true).has_value();
  });
}

}  // namespace flexai::schedule
