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
      passed_over_(snapshot->queues().size()),
      waiting_(snapshot->queues().size()),
      fresh_(workload->size()),
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
    std::sort(gangs.begin(), gangs.end(),
              [this](GangId a, GangId b) { return workload_->Before(a, b); });
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

void Session::QueueAgain() {
  for (const GangId id : ended_) {
    std::vector<GangId>& gangs = waiting_[(*workload_)[id].queue];
    const auto at = std::lower_bound(gangs.begin(), gangs.end(), id, [this](GangId a, GangId b) {
      return workload_->Before(a, b);
    });
    if (at == gangs.end() || *at != id) gangs.insert(at, id);
  }
  ended_.clear();
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
    // Who starts again in the same round has started now.
    if (decision.ends) {
      workload_->SetStarted(gang, now_s_);
      ended_.push_back(gang);
    }
    if (decision.act == Act::kMove) {
      // Who was let past once has no better right to its new place.
      const bool passes = passing_ != Passing::kNobody && (*workload_)[gang].preemptible;
      workload_->SetPast(decision.job, passes || workload_->past(decision.job) != 0);
    }
    if (decision.act == Act::kStart) workload_->SetIdle(decision.job, false);
    if (decision.act == Act::kStart && gang == decision.cause) {
      const std::optional<GangId>& passed = passed_over_[(*workload_)[gang].queue];
      const bool passes =
          passing_ == Passing::kMovedAndStarted || (passed && workload_->Before(*passed, gang));
      workload_->SetPast(decision.job, passes);
      // What joins a gang that runs does not make it younger.
      const bool joins =
          workload_->started_s(gang) < now_s_ &&
          std::any_of(running_.begin(), running_.end(), [gang](GangId id) { return id == gang; });
      if (joins) continue;
      workload_->SetStarted(gang, now_s_);
      fresh_[gang] = true;
      if (!passes) workload_->DropReservation(gang);
    }
  }
}

void Session::PassOver(GangId gang) {
  if (workload_->reserved(gang) == 0) return;
  std::optional<GangId>& first = passed_over_[(*workload_)[gang].queue];
  if (!first || workload_->Before(gang, *first)) first = gang;
}

bool Session::MayClaim(GangId head, JobId task) const {
  const uint64_t reserved = workload_->reserved(head);
  if (reserved == 0 || workload_->past(task) < reserved || !snapshot_->placed(task)) return false;
  const GangId gang = workload_->gang(task);
  const Gang& its = (*workload_)[gang];
  if (!its.preemptible || fresh_[gang] || workload_->Before(gang, head)) return false;
  return !options_.claim_waits || now_s_ - workload_->started_s(gang) >= its.least_run_s;
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
  const bool ends = !workload_->Running(workload_->gang(job));
  decisions_.push_back({Act::kEvict, job, place, 0, cause, ends});
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
  const int64_t ran = now_s_ - workload_->started_s(gang), run = RunTime(gang);
  return now_s_ + std::max<int64_t>(1, run > ran ? run - ran : ran);
}

}  // namespace flexai::schedule
