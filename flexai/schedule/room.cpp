#include "flexai/schedule/room.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace flexai::schedule {
namespace {

constexpr size_t kMostNodesTried = 32;

enum Rung : uint8_t {
  kUntouched,
  kDegrade,
  kSuspend,
  kMoveIdle,
  kMoveCheckpointable,
  kMoveAny,
  kEvict
};

struct Step {
  JobId job;
  Rung rung;
  int64_t lost;
  int64_t end_s;  // when it would probably end if it were left alone
};

struct Plan {
  NodeId node = 0;
  std::vector<Step> steps;
  Rung highest = kUntouched;
  int64_t lost = 0;
  int64_t end_s = INT64_MAX;  // of the first that would have ended

  auto Rank() const { return std::tuple(highest, lost, steps.size(), -end_s, node); }
};

// What one node would have left if some of its jobs made room.
class Trial {
 public:
  Trial(const Session& session, NodeId node, const Request& request)
      : session_(session), snapshot_(session.snapshot()), node_(node), request_(request) {
    cpu_ = snapshot_.cpu_free(node);
    memory_ = snapshot_.memory_free(node);
    for (uint32_t i = 0; i < snapshot_.cards(node); ++i) {
      shares_[i] = snapshot_.shares(node)[i];
      card_memory_[i] = snapshot_.card_memory(node)[i];
    }
  }

  bool Fits() const {
    if (cpu_ < request_.cpu_milli || memory_ < request_.memory_mib) return false;
    uint32_t found = 0;
    for (uint32_t i = 0; i < snapshot_.cards(node_) && found < request_.cards; ++i) {
      found += (snapshot_.usable(node_) >> i & 1) != 0 && shares_[i] >= request_.share &&
               card_memory_[i] >= request_.card_memory_mib;
    }
    return found == request_.cards;
  }

  // Changes what the job does for the newcomer from one rung to another.
  void Change(JobId job, Rung from, Rung to) {
    const Holding held = snapshot_.held(job, node_);
    const bool was_gone = from >= kMoveIdle, gone = to >= kMoveIdle;
    const Milli freed = Freed(job, to) - Freed(job, from);
    const int sign = static_cast<int>(gone) - static_cast<int>(was_gone);
    cpu_ += sign * held.cpu_milli;
    memory_ += sign * held.memory_mib;
    const int64_t card_memory = snapshot_.request(job).card_memory_mib;
    for (uint32_t i = 0; i < snapshot_.cards(node_); ++i) {
      if ((held.cards >> i & 1) == 0) continue;
      shares_[i] += freed;
      card_memory_[i] += sign * card_memory;
    }
  }

 private:
  Milli Freed(JobId job, Rung rung) const {
    const Milli share = snapshot_.request(job).share;
    if (rung == kUntouched) return 0;
    if (rung == kDegrade) return share - session_.workload().part(job).least_share;
    return share;
  }

  const Session& session_;
  const Snapshot& snapshot_;
  NodeId node_;
  const Request& request_;
  int64_t cpu_, memory_;
  std::array<Milli, kMostCards> shares_;
  std::array<int64_t, kMostCards> card_memory_;
};

// What the job could do, gentlest first.
void AddSteps(const Session& session, const RoomRules& rules, JobId job, std::vector<Step>* steps) {
  const Workload& workload = session.workload();
  const Gang& gang = workload[workload.gang(job)];
  const Part& part = workload.part(job);
  const Milli share = session.snapshot().request(job).share;
  const int64_t lost = LostWork(session, job);
  const int64_t end_s = session.End(workload.gang(job));
  if (rules.shrink && part.least_share > 0 && share > part.least_share) {
    steps->push_back({job, kDegrade, 0, end_s});
  }
  // A gang that waits for one of its tasks holds its other cards for nothing.
  const bool alone = gang.parts.size() == 1 && part.tasks == 1;
  if (rules.shrink && alone && share > 0) steps->push_back({job, kSuspend, share, end_s});
  if (const Movable movable = MovableOf(session, job); rules.move && movable != Movable::kNever) {
    const Rung rung = movable == Movable::kIdle             ? kMoveIdle
                      : movable == Movable::kCheckpointable ? kMoveCheckpointable
                                                            : kMoveAny;
    steps->push_back({job, rung, lost, end_s});
  }
  if (rules.evict && gang.preemptible) {
    int64_t all = lost;
    if (TakesAll(session, job)) {
      all = 0;
      workload.ForEachTask(workload.gang(job), [&](JobId task) {
        if (session.snapshot().placed(task)) all += LostWork(session, task);
      });
    }
    steps->push_back({job, kEvict, all, end_s});
  }
}

// The cheapest way on this node: steps are taken in order until the task fits, then those that
// turn out not to be needed are taken back, the hardest first.
std::optional<Plan> PlanFor(const Session& session, const RoomRules& rules, NodeId node,
                            const Request& request) {
  const Snapshot& snapshot = session.snapshot();
  if (!snapshot.open(node)) return std::nullopt;
  if (request.cards > 0 && (request.models >> snapshot.model(node) & 1) == 0) return std::nullopt;
  std::vector<Step> possible;
  for (const JobId job : session.jobs_on(node)) {
    if (!snapshot.placed(job)) continue;
    const Placement place = snapshot.placement(job);
    if (place.node != node && place.host != node) continue;
    if (rules.may_touch(job)) AddSteps(session, rules, job, &possible);
  }
  std::stable_sort(possible.begin(), possible.end(), [](const Step& a, const Step& b) {
    // Of those that lose as much, who would end last goes.
    return std::tie(a.rung, a.lost, b.end_s) < std::tie(b.rung, b.lost, a.end_s);
  });
  Trial trial(session, node, request);
  std::vector<Step> taken;
  const auto held = [&taken](JobId job) {
    return std::find_if(taken.begin(), taken.end(), [job](const Step& s) { return s.job == job; });
  };
  for (size_t i = 0; !trial.Fits(); ++i) {
    if (i == possible.size()) return std::nullopt;
    const auto before = held(possible[i].job);
    trial.Change(possible[i].job, before == taken.end() ? kUntouched : before->rung,
                 possible[i].rung);
    if (before != taken.end()) taken.erase(before);
    taken.push_back(possible[i]);
  }
  for (size_t i = taken.size(); i-- > 0;) {
    trial.Change(taken[i].job, taken[i].rung, kUntouched);
    if (trial.Fits()) {
      taken.erase(taken.begin() + static_cast<ptrdiff_t>(i));
    } else {
      trial.Change(taken[i].job, kUntouched, taken[i].rung);
    }
  }
  Plan plan{.node = node, .steps = std::move(taken)};
  for (const Step& step : plan.steps) {
    plan.highest = std::max(plan.highest, step.rung);
    plan.lost += step.lost;
    plan.end_s = std::min(plan.end_s, step.end_s);
  }
  return plan;
}

bool CarryOut(Session* session, const RoomRules& rules, const Plan& plan, GangId gang, JobId job) {
  const Workload& workload = session->workload();
  std::vector<JobId> homeless;
  for (const Step& step : plan.steps) {
    if (!session->snapshot().placed(step.job)) continue;  // its gang was evicted already
    switch (step.rung) {
      case kUntouched:
        break;
      case kDegrade:
        if (!session->Resize(step.job, workload.part(step.job).least_share, Act::kDegrade, gang)
                 .ok()) {
          return false;
        }
        break;
      case kSuspend:
        if (!session->Resize(step.job, 0, Act::kSuspend, gang).ok()) return false;
        break;
      case kMoveIdle:
      case kMoveCheckpointable:
      case kMoveAny:
        session->Lift(step.job);
        homeless.push_back(step.job);
        break;
      case kEvict:
        if (TakesAll(*session, step.job)) {
          session->Evict(workload.gang(step.job), gang);
        } else {
          session->EvictTask(step.job, gang);
        }
        break;
    }
  }
  const Request& request = session->snapshot().request(job);
  if (!session->snapshot().Fits(plan.node, request)) return false;
  const auto place = session->placer()->FindFor(request, {}, {&plan.node, 1});
  if (!place || !session->Place(job, *place, gang).ok()) return false;
  for (const JobId moved : homeless) {
    const Gang& its = workload[workload.gang(moved)];
    // Who has to stay near others has no home elsewhere.
    if (std::min(its.required, workload.part(moved).required) != Level::kAnywhere) return false;
    std::vector<NodeId> others;
    const Bonds bonds = BondsOf(*session, moved, &others);
    const Request& its_request = session->snapshot().request(moved);
    const auto home = session->placer()->FindFor(its_request, bonds, {});
    if (!home || !session->Place(moved, *home, gang, Act::kMove).ok()) return false;
  }
  return rules.holds();
}

bool MakeRoom(Session* session, const RoomRules& rules, GangId gang, JobId job,
              std::span<const NodeId> nodes) {
  const Session::Point point = session->Checkpoint();
  const Request request = session->snapshot().request(job);
  std::vector<Plan> plans;
  const size_t count = nodes.empty() ? session->snapshot().nodes() : nodes.size();
  for (size_t i = 0; i < count; ++i) {
    const NodeId node = nodes.empty() ? static_cast<NodeId>(i) : nodes[i];
    auto plan = PlanFor(*session, rules, node, request);
    if (plan && !plan->steps.empty()) plans.push_back(*std::move(plan));
  }
  const size_t tried = std::min(plans.size(), kMostNodesTried);
  std::partial_sort(plans.begin(), plans.begin() + static_cast<ptrdiff_t>(tried), plans.end(),
                    [](const Plan& a, const Plan& b) { return a.Rank() < b.Rank(); });
  for (size_t i = 0; i < tried; ++i) {
    if (CarryOut(session, rules, plans[i], gang, job)) return true;
    session->Rollback(point);
  }
  return false;
}

}  // namespace

Movable MovableOf(const Session& session, JobId job) {
  const Gang& gang = session.workload()[session.workload().gang(job)];
  if (!gang.preemptible && !gang.checkpointable) return Movable::kNever;
  if (session.workload().idle(job)) return Movable::kIdle;
  return gang.checkpointable ? Movable::kCheckpointable : Movable::kLosesWork;
}

int64_t LostWork(const Session& session, JobId job) {
  const GangId id = session.workload().gang(job);
  const Gang& gang = session.workload()[id];
  const int64_t ran = session.now_s() - session.workload().started_s(id);
  const int64_t lost = gang.checkpointable ? std::min(ran, session.options().restart_s) : ran;
  return (std::max<int64_t>(lost, 0) + 1) * (CardDemand(session.snapshot().request(job)) + 1);
}

PlaceTask MakingRoom(const RoomRules* rules) {
  return [rules](Session* session, GangId gang, JobId job, std::span<const NodeId> nodes) {
    const Session::Point point = session->Checkpoint();
    if (PlaceInRoom(session, gang, job, nodes)) {
      if (rules->holds()) return true;
      session->Rollback(point);
    }
    if (MakeRoom(session, *rules, gang, job, nodes)) return true;
    if (!rules->move || !rules->evict) return false;
    // Those who could move had no home: then without moves.
    RoomRules harder = *rules;
    harder.move = false;
    return MakeRoom(session, harder, gang, job, nodes);
  };
}

}  // namespace flexai::schedule
