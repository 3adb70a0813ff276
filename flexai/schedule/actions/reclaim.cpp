// A queue gets back what it is due. It may take from another one that has more than it is due, as
// long as the taker stays within its own and does not end up better served than the other; or, up
// to its quota, from one that is above its quota.
#include <algorithm>
#include <set>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/order.h"
#include "flexai/schedule/room.h"

namespace flexai::schedule {
namespace {

constexpr int kMostFailures = 64;  // of one round; the next goes on

// The two queues below which taker and giver stand, where their ways to the root part.
struct Rivals {
  QueueId taker, giver;
};

std::vector<QueueId> Lineage(const Queues& queues, QueueId id) {
  std::vector<QueueId> up = {id};
  while (up.back() != kRoot) up.push_back(queues.parent(up.back()));
  return up;
}

std::optional<Rivals> Part(const Queues& queues, QueueId taker, QueueId giver) {
  std::vector<QueueId> a = Lineage(queues, taker), b = Lineage(queues, giver);
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    a.pop_back();
    b.pop_back();
  }
  if (a.empty() || b.empty()) return std::nullopt;
  return Rivals{a.back(), b.back()};
}

class Taking {
 public:
  Taking(Session* session, GangId id)
      : session_(session),
        queues_(session->snapshot().queues()),
        queue_(session->workload()[id].queue) {
    const int64_t lacking = session->Lacking(id)[kCards];
    for (QueueId up = queue_; up != kRoot; up = queues_.parent(up)) {
      // What it will have in the end: placing its tasks does not change it.
      end_.push_back({up, queues_.used(up)[kCards] + lacking});
    }
  }

  // Whether it may have so much more at all.
  bool Due() const {
    return std::all_of(end_.begin(), end_.end(), [this](const auto& level) {
      return level.second <= session_->due(level.first) || WithinQuota(level.first);
    });
  }

  bool MayTouch(JobId job) const {
    const Workload& workload = session_->workload();
    const GangId victim = workload.gang(job);
    const Gang& gang = workload[victim];
    if (!gang.preemptible || gang.queue == queue_) return false;
    if (session_->now_s() - workload.started_s(victim) < gang.least_run_s) return false;
    const std::optional<Rivals> rivals = Part(queues_, queue_, gang.queue);
    return rivals && MayTake(*rivals);
  }

  // After the giver lost it: who gave must not be worse off than who took.
  bool KeepsOrder(QueueId giver_queue) const {
    const std::optional<Rivals> rivals = Part(queues_, queue_, giver_queue);
    if (!rivals || WithinQuota(rivals->taker)) return true;
    const __int128 taker = EndOf(rivals->taker), giver = queues_.used(rivals->giver)[kCards];
    return taker * session_->due(rivals->giver) <= giver * session_->due(rivals->taker);
  }

 private:
  int64_t EndOf(QueueId id) const {
    for (const auto& [queue, end] : end_) {
      if (queue == id) return end;
    }
    return 0;
  }
  bool WithinQuota(QueueId id) const { return EndOf(id) <= queues_[id].quota[kCards]; }
  bool MayTake(const Rivals& rivals) const {
    const int64_t has = queues_.used(rivals.giver)[kCards];
    if (EndOf(rivals.taker) <= session_->due(rivals.taker) && has > session_->due(rivals.giver)) {
      return true;
    }
    return WithinQuota(rivals.taker) && has > queues_[rivals.giver].quota[kCards];
  }

  Session* session_;
  const Queues& queues_;
  QueueId queue_;
  std::vector<std::pair<QueueId, int64_t>> end_;
};

bool TakeFor(Session* session, GangId id) {
  const Taking taking(session, id);
  if (!taking.Due()) return false;
  const Session::Point point = session->Checkpoint();
  RoomRules rules;
  rules.may_touch = [&](JobId job) { return taking.MayTouch(job); };
  rules.holds = [&] {
    const auto decisions = session->tentative().subspan(point.decisions);
    return std::all_of(decisions.begin(), decisions.end(), [&](const Decision& decision) {
      return decision.act == Act::kStart || decision.act == Act::kMove ||
             taking.KeepsOrder(session->snapshot().queue(decision.job));
    });
  };
  if (PlaceGang(session, id, MakingRoom(&rules))) {
    // Who needs nothing from others waits for its turn in Backfill.
    if (session->TouchedOthers(point)) return true;
  }
  session->Rollback(point);
  return false;
}

// Whether any queue has more than it is due, or than its quota while others lack theirs.
bool AnybodyOver(const Session& session) {
  const Queues& queues = session.snapshot().queues();
  for (QueueId id = 1; id < queues.size(); ++id) {
    const int64_t firm = queues.firm(id)[kCards], used = queues.used(id)[kCards];
    if (used > firm && (used > session.due(id) || used > queues[id].quota[kCards])) return true;
  }
  return false;
}

}  // namespace

void Reclaim(Session* session) {
  if (!AnybodyOver(*session)) return;
  session->LetPast(Session::Passing::kMoved);  // else they would have been evicted
  Order order(session);
  std::set<QueueId> failed;
  while (const std::optional<GangId> next = order.Next()) {
    const GangId id = *next;
    const Gang& gang = session->workload()[id];
    if (failed.contains(gang.queue) || session->workload().Running(id)) continue;
    Verdict verdict;
    if (!session->Allowed(gang, session->Lacking(id), &verdict)) {
      session->PassOver(id);
      continue;
    }
    if (TakeFor(session, id)) {
      session->Commit();
      order.Update(gang.queue);
    } else {
      failed.insert(gang.queue);
      if (failed.size() > kMostFailures) break;
    }
  }
  session->LetPast(Session::Passing::kNobody);
}

}  // namespace flexai::schedule
