#include "flexai/schedule/session.h"

#include <algorithm>
#include <bit>

namespace flexai::schedule {

Session::Session(Snapshot* snapshot, Workload* workload, Placer* placer,
                 const UsageHistory* history, const Options& options, int64_t now_s)
    : snapshot_(snapshot),
      workload_(workload),
      placer_(placer),
      options_(options),
      now_s_(now_s),
      statement_(snapshot),
      waiting_(snapshot->queues().size()),
      verdicts_(workload->size()) {
  for (NodeId node = 0; node < snapshot->nodes(); ++node) {
    const CardSet cards = snapshot->cards(node) == kMostCards
                              ? ~CardSet{0}
                              : (CardSet{1} << snapshot->cards(node)) - 1;
    if (snapshot->open(node)) {
      all_cards_ += int64_t{std::popcount(cards & snapshot->usable(node))} * kWholeCard;
    }
  }
  CollectGangs();
  ShareOut(*history);
}

void Session::CollectGangs() {
  std::vector<std::pair<NodeId, JobId>> placed;
  for (const GangId id : workload_->active()) {
    uint32_t tasks = 0, running = 0;
    workload_->ForEachTask(id, [&](JobId job) {
      ++tasks;
      if (!snapshot_->placed(job)) return;
      ++running;
      const Placement place = snapshot_->placement(job);
      placed.push_back({place.node, job});
      if (place.host != kSameNode) placed.push_back({place.host, job});
    });
    if (running > 0) running_.push_back(id);
    if (running < tasks) waiting_[(*workload_)[id].queue].push_back(id);
  }
  for (std::vector<GangId>& gangs : waiting_) {
    std::stable_sort(gangs.begin(), gangs.end(), [this](GangId a, GangId b) {
      const Gang &first = (*workload_)[a], &second = (*workload_)[b];
      if (first.priority != second.priority) return first.priority > second.priority;
      return first.arrived_s < second.arrived_s;
    });
  }
  // Of one node, the oldest first.
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  first_on_.assign(snapshot_->nodes() + 1, 0);
  for (const auto& [node, job] : placed) {
    ++first_on_[node + 1];
    jobs_on_.push_back(job);
  }
  for (NodeId node = 0; node < snapshot_->nodes(); ++node) first_on_[node + 1] += first_on_[node];
}

void Session::ShareOut(const UsageHistory& history) {
  std::vector<int64_t> wanted(snapshot_->queues().size());
  for (const GangId id : workload_->active()) {
    const Gang& gang = (*workload_)[id];
    for (const Part& part : gang.parts) wanted[gang.queue] += part.tasks * CardDemand(part.request);
  }
  due_ = FairShares(snapshot_->queues(), wanted, all_cards_, history);
}

std::span<const GangId> Session::waiting(QueueId queue) const { return waiting_[queue]; }

std::span<const JobId> Session::jobs_on(NodeId node) const {
  return std::span<const JobId>(jobs_on_).subspan(first_on_[node],
                                                  first_on_[node + 1] - first_on_[node]);
}

void Session::Rollback(const Point& point) {
  statement_.Rollback(point.steps);
  decisions_.resize(point.decisions);
}

bool Session::TouchedOthers(const Point& point) const {
  const auto decisions = tentative().subspan(point.decisions);
  return std::any_of(decisions.begin(), decisions.end(),
                     [](const Decision& decision) { return decision.act != Act::kStart; });
}

void Session::Commit() {
  statement_.Commit();
  for (; committed_ < decisions_.size(); ++committed_) {
    const Decision& decision = decisions_[committed_];
    const GangId gang = workload_->gang(decision.job);
    if (decision.act == Act::kEvict) workload_->SetWas(decision.job, decision.place.node);
    if (decision.act == Act::kStart && gang == decision.cause) {
      // What joins a gang that runs does not make it younger.
      const bool joins =
          workload_->started_s(gang) < now_s_ &&
          std::any_of(running_.begin(), running_.end(), [gang](GangId id) { return id == gang; });
      if (joins) continue;
      workload_->SetStarted(gang, now_s_);
      workload_->SetReserved(gang, Workload::kNever);
      workload_->SetLetPast(gang, let_past_);
    }
  }
}

void Session::Reserve(GangId gang) {
  if (workload_->reserved_s(gang) == Workload::kNever) workload_->SetReserved(gang, now_s_);
}

Status Session::Place(JobId job, const Placement& place, GangId cause, Act act) {
  FLEXAI_RETURN_IF_ERROR(statement_.Place(job, place));
  decisions_.push_back({act, job, place, snapshot_->request(job).share, cause});
  return Status();
}

void Session::Lift(JobId job) { statement_.Remove(job); }

void Session::EvictTask(JobId job, GangId cause) {
  const Placement place = snapshot_->placement(job);
  // It waits for what it asked for: a share that was lowered is the full one again.
  statement_.Remove(job);
  statement_.Reset(job, workload_->asked(job).share);
  decisions_.push_back({Act::kEvict, job, place, 0, cause});
}

void Session::Evict(GangId gang, GangId cause) {
  workload_->ForEachTask(gang, [&](JobId job) {
    if (snapshot_->placed(job)) EvictTask(job, cause);
  });
}

Status Session::Resize(JobId job, Milli share, Act act, GangId cause) {
  FLEXAI_RETURN_IF_ERROR(statement_.Resize(job, share));
  decisions_.push_back({act, job, snapshot_->placement(job), share, cause});
  return Status();
}

bool Session::Allowed(const Gang& gang, const Amounts& more, Verdict* verdict) const {
  const Queues& queues = snapshot_->queues();
  for (QueueId id = gang.queue;; id = queues.parent(id)) {
    for (const Resource what : {kCards, kCpu, kMemory}) {
      if (more[what] == 0) continue;
      if (queues.used(id)[what] + more[what] > queues[id].limit[what]) {
        *verdict = {.wait = Wait::kLimit, .queue = id, .what = what};
        return false;
      }
      if (!gang.preemptible && queues.firm(id)[what] + more[what] > queues[id].quota[what]) {
        *verdict = {.wait = Wait::kQuota, .queue = id, .what = what};
        return false;
      }
    }
    if (id == kRoot) return true;
  }
}

Amounts Session::Lacking(GangId gang) const {
  Amounts sum{};
  for (const Part& part : (*workload_)[gang].parts) {
    const uint32_t placed = workload_->Placed(part);
    if (placed >= part.minimum) continue;
    const Amounts one = DemandOf(part.request);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += (part.minimum - placed) * one[i];
  }
  return sum;
}

int64_t Session::RunTime(GangId gang) const {
  const int64_t estimate = (*workload_)[gang].estimate_s;
  return estimate > 0 ? estimate : options_.unknown_run_s;
}

int64_t Session::End(GangId gang) const {
  // One that runs longer than it should may end at any time.
  return std::max(workload_->started_s(gang) + RunTime(gang), now_s_ + 1);
}

}  // namespace flexai::schedule
