#include <algorithm>

#include "flexai/schedule/actions.h"

namespace flexai::schedule {
namespace {

bool WithinDue(const Session& session, QueueId queue, int64_t more) {
  const Queues& queues = session.snapshot().queues();
  for (; queue != kRoot; queue = queues.parent(queue)) {
    if (queues.used(queue)[kCards] + more > session.due(queue)) return false;
  }
  return true;
}

void RestoreTask(Session* session, GangId id, JobId job, bool all) {
  const Workload& workload = session->workload();
  const Gang& gang = workload[id];
  const Milli share = session->snapshot().request(job).share;
  for (const Milli wanted : {workload.asked(job).share, workload.part(job).least_share}) {
    if (wanted <= share) continue;
    const int64_t more = int64_t{wanted - share} * workload.asked(job).cards;
    Verdict ignored;
    if (!session->Allowed(gang, {more, 0, 0}, &ignored)) continue;
    if (!all && !WithinDue(*session, gang.queue, more)) continue;
    if (!session->Resize(job, wanted, Act::kResume, id).ok()) continue;
    session->Commit();
    return;
  }
}

}  // namespace

void Restore(Session* session, bool all) {
  std::vector<GangId> order(session->running().begin(), session->running().end());
  std::stable_sort(order.begin(), order.end(), [session](GangId a, GangId b) {
    return session->workload()[a].priority > session->workload()[b].priority;
  });
  for (const GangId id : order) {
    session->workload().ForEachTask(id, [&](JobId job) {
      if (session->workload().Degraded(job)) RestoreTask(session, id, job, all);
    });
  }
}

}  // namespace flexai::schedule
