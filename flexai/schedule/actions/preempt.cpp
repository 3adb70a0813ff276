#include <algorithm>
#include <map>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/order.h"
#include "flexai/schedule/room.h"

namespace flexai::schedule {
namespace {

constexpr int kMostFailures = 16;  // of a queue in one round; the next goes on

bool MayPreempt(const Session& session, const Gang& gang, GangId victim) {
  const Gang& other = session.workload()[victim];
  return other.queue == gang.queue && other.preemptible && other.priority < gang.priority &&
         session.now_s() - session.workload().started_s(victim) >= other.least_run_s;
}

// Where the queue's limit stands in the way: the lowest priority, then the least lost work, then
// who would end last, goes until the limit does not.
bool EvictForLimit(Session* session, GangId id) {
  const Gang& gang = session->workload()[id];
  std::vector<std::tuple<int32_t, int64_t, int64_t, uint64_t, GangId>>
      victims;  // by age, if all else is equal
  for (const GangId other : session->running()) {
    if (!MayPreempt(*session, gang, other)) continue;
    int64_t lost = 0;
    session->workload().ForEachTask(other, [&](JobId job) {
      if (session->snapshot().placed(job)) lost += LostWork(*session, job);
    });
    const Workload& workload = session->workload();
    victims.push_back(
        {workload[other].priority, lost, -session->End(other), workload.number(other), other});
  }
  std::sort(victims.begin(), victims.end());
  Verdict verdict;
  for (const auto& [priority, lost, end, number, victim] : victims) {
    if (session->Allowed(gang, session->Lacking(id), &verdict)) return true;
    session->Evict(victim, id);
  }
  return session->Allowed(gang, session->Lacking(id), &verdict);
}

// Whom a limit stops, or who could not even run on the empty cluster, holds nobody up.
bool HoldsUp(const Session& session, GangId id) {
  Verdict verdict;
  return session.Allowed(session.workload()[id], session.Lacking(id), &verdict) &&
         !ProveNoRoom(session, id, /*empty=*/true);
}

bool PreemptFor(Session* session, GangId id) {
  const Gang& gang = session->workload()[id];
  const Session::Point point = session->Checkpoint();
  RoomRules rules;
  rules.may_touch = [&](JobId job) {
    return MayPreempt(*session, gang, session->workload().gang(job));
  };
  if (EvictForLimit(session, id) && PlaceGang(session, id, MakingRoom(&rules))) {
    if (session->TouchedOthers(point)) return true;
  }
  session->Rollback(point);
  return false;
}

}  // namespace

void Preempt(Session* session) {
  std::map<QueueId, int32_t> lowest;  // priority that runs and may be preempted
  for (const GangId id : session->running()) {
    const Gang& gang = session->workload()[id];
    if (!gang.preemptible) continue;
    const auto [entry, added] = lowest.emplace(gang.queue, gang.priority);
    entry->second = std::min(entry->second, gang.priority);
  }
  if (lowest.empty()) return;
  session->LetPast(Session::Passing::kMoved);  // else they would have been evicted
  Order order(session);
  std::map<QueueId, int> failed;
  while (const std::optional<GangId> next = order.Next()) {
    const GangId id = *next;
    const Gang& gang = session->workload()[id];
    if (failed[gang.queue] >= kMostFailures || session->workload().Running(id)) continue;
    const auto entry = lowest.find(gang.queue);
    if (entry == lowest.end() || entry->second >= gang.priority) continue;
    if (PreemptFor(session, id)) {
      session->Commit();
      order.Update(gang.queue);
    } else {
      session->PassOver(id);
      failed[gang.queue] += HoldsUp(*session, id) ? kMostFailures : 1;
    }
  }
  session->LetPast(Session::Passing::kNobody);
}

}  // namespace flexai::schedule
