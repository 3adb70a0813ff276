#include "flexai/schedule/sim/cycle_queue.h"

#include <algorithm>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/gang.h"

namespace flexai::schedule::sim {
namespace {

constexpr uint32_t kNodeCards = kPoolNodeCards;
// What going on costs: memory goes out to the host and comes back.
constexpr int64_t kResume = 60;
// Who was started runs this long before it may be suspended for a younger one.
constexpr int64_t kLeastRun = 600;
// Who was suspended counts as new after this long, or after twice what it ran: nobody starves.
constexpr int64_t kPatience = 7 * 24 * 3600;
// A job gets older when it ran longer than these parts of its pool's jobs.
constexpr std::array<int, 3> kAgePermille = {500, 800, 950};
// Before that it is as old as this part of the jobs like it get.
constexpr int kExpectedPermille = 500;
// A job keeps its CPUs while it has no share of its cards, so that who makes room for another is
// taken off the node, and may go on elsewhere.
constexpr int64_t kCpuPerCard = 1000;

Request Ask(uint32_t cards) {
  return {.cpu_milli = kCpuPerCard * cards, .cards = cards, .share = kWholeCard};
}

}  // namespace

CycleQueue::Cluster::Cluster(uint32_t count) : nodes(count) {
  for (uint32_t i = 0; i < nodes; ++i) {
    (void)snapshot.AddNode({.cpu_milli = kCpuPerCard * kNodeCards, .cards = kNodeCards});
  }
  placer = *MakePlacer("flexai", {&snapshot, &fragmentation, {}, 0});
}

CycleQueue::CycleQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs)
    : jobs_(jobs), states_(jobs.size()) {
  for (const Pool& pool : pools) clusters_.push_back(std::make_unique<Cluster>(pool.nodes));
}

QueueingResult CycleQueue::Run() {
  JobIndex next = 0;
  int64_t sample_s = jobs_.empty() ? 0 : jobs_[0].submit_s;
  while (next < jobs_.size() || !events_.empty()) {
    now_ = events_.empty() ? jobs_[next].submit_s : std::get<0>(events_.top());
    if (next < jobs_.size()) now_ = std::min(now_, jobs_[next].submit_s);
    for (; sample_s <= now_; sample_s += kBacklogEvery)
      result_.backlog.push_back({sample_s, waiting_});
    while (!events_.empty() && std::get<0>(events_.top()) == now_) {
      const Event event = events_.top();
      events_.pop();
      if (std::get<3>(event) == states_[std::get<2>(event)].generation) Handle(event);
    }
    while (next < jobs_.size() && jobs_[next].submit_s == now_) Submit(next++);
    for (const uint32_t pool : touched_) Round(clusters_[pool].get());
    touched_.clear();
  }
  if (!result_.queue_s.empty()) {
    result_.mean_jct_s = jct_s_ / static_cast<double>(result_.queue_s.size());
  }
  return std::move(result_);
}

void CycleQueue::Submit(JobIndex job) {
  const TimedJob& asked = jobs_[job];
  Cluster& cluster = *clusters_[asked.pool];
  if (asked.cards > cluster.nodes * kNodeCards) {
    ++result_.refused;
    return;
  }
  State& state = states_[job];
  state.left_s = asked.run_s;
  state.expected_s = run_times_.Estimate(KindOf(job), kExpectedPermille);
  Remember(job);
  Gang gang;
  gang.checkpointable = true;
  gang.arrived_s = now_;
  gang.estimate_s = run_times_.Estimate(KindOf(job), kSafePermille);
  gang.least_run_s = kLeastRun;
  const uint32_t whole = asked.cards / kNodeCards, rest = asked.cards % kNodeCards;
  if (whole > 0)
    gang.parts.push_back({.request = Ask(kNodeCards), .tasks = whole, .minimum = whole});
  if (rest > 0) gang.parts.push_back({.request = Ask(rest)});
  state.gang = *cluster.workload.Add(std::move(gang));
  cluster.job_of.resize(cluster.workload.size());
  cluster.job_of[state.gang] = job;
  touched_.insert(asked.pool);
  ++waiting_;
}

void CycleQueue::Handle(const Event& event) {
  const JobIndex job = std::get<2>(event);
  const TimedJob& asked = jobs_[job];
  State& state = states_[job];
  touched_.insert(asked.pool);
  if (std::get<1>(event) == What::kOlder) return;
  if (std::get<1>(event) == What::kPatience) {
    state.young_s = state.ran_s;
    state.expected_s = 0;
    return;
  }
  Stop(job);
  --waiting_;
  clusters_[asked.pool]->workload.Leave(state.gang);
  run_times_.Learn(KindOf(job), asked.run_s);
  result_.queue_s.push_back(now_ - asked.submit_s - asked.run_s);
  jct_s_ += static_cast<double>(now_ - asked.submit_s);
}

void CycleQueue::Remember(JobIndex job) {
  const RunKind of_pool{.queue = jobs_[job].pool};
  for (size_t i = 0; i < kAges; ++i) {
    states_[job].ages[i] = run_times_.Estimate(of_pool, kAgePermille[i]);
  }
}

int32_t CycleQueue::Age(JobIndex job) const {
  const State& state = states_[job];
  const int64_t ran = state.ran_s + (state.started_s < 0 ? 0 : now_ - state.started_s);
  const int64_t run_s = std::max(ran - state.young_s, state.expected_s);
  return static_cast<int32_t>(
      std::count_if(state.ages.begin(), state.ages.end(),
                    [run_s](int64_t age) { return age > 0 && run_s >= age; }));
}

RunKind CycleQueue::KindOf(JobIndex job) const {
  return {.queue = jobs_[job].pool, .cards = jobs_[job].cards};
}

void CycleQueue::Round(Cluster* cluster) {
  Workload& workload = cluster->workload;
  for (const GangId id : workload.active()) workload.SetPriority(id, -Age(cluster->job_of[id]));
  Options options;
  options.restart_s = kResume;
  options.claim_waits = false;  // so that no head waits for one that came after it
  Session session(&cluster->snapshot, &workload, cluster->placer.get(), &cluster->history, options,
                  now_);
  RunCycle(&session);
  Follow(cluster, session);
  WatchHeads(cluster, &session);
}

// What the decisions mean for the jobs' work.
void CycleQueue::Follow(Cluster* cluster, const Session& session) {
  std::set<GangId> hit;
  for (const Decision& decision : session.decisions()) {
    hit.insert(cluster->workload.gang(decision.job));
  }
  for (const GangId id : hit) {
    const JobIndex job = cluster->job_of[id];
    if (states_[job].started_s >= 0) {
      Stop(job);
      ++result_.suspensions;
    }
    if (cluster->workload.Running(id)) {
      Start(job);
    } else {
      const State& state = states_[job];
      const int64_t patience = std::max(kPatience, 2 * (state.ran_s - state.young_s));
      events_.push({now_ + patience, What::kPatience, job, state.generation});
    }
  }
}

void CycleQueue::Stop(JobIndex job) {
  State& state = states_[job];
  state.left_s -= now_ - state.started_s;
  state.ran_s += now_ - state.started_s;
  state.started_s = -1;
  ++state.generation;
  ++waiting_;
}

void CycleQueue::Start(JobIndex job) {
  State& state = states_[job];
  if (state.ran_s > 0) state.left_s += kResume;
  state.started_s = now_;
  ++state.generation;
  --waiting_;
  if (state.head_s >= 0) {
    const int64_t late = state.held_up_s < 0 ? 0 : now_ - state.held_up_s;
    result_.late_heads += late > 0;
    result_.longest_late_s = std::max(result_.longest_late_s, late);
    state.head_s = state.held_up_s = -1;
  }
  events_.push({now_ + state.left_s, What::kEnd, job, state.generation});
  Remember(job);
  for (const int64_t age : state.ages) {
    const int64_t in = std::max(kLeastRun, age - (state.ran_s - state.young_s));
    if (age > 0) events_.push({now_ + in, What::kOlder, job, state.generation});
  }
}

// Who has a reservation is held up if it would have room without those who were let past it and are
// not before it in the order.
void CycleQueue::WatchHeads(Cluster* cluster, Session* session) {
  const Workload& workload = cluster->workload;
  for (const GangId id : session->waiting(kRoot)) {
    State& state = states_[cluster->job_of[id]];
    if (state.started_s >= 0) continue;
    if (state.head_s < 0 && workload.reserved(id) != 0) {
      state.head_s = now_;
      ++result_.reservations;
    }
    if (state.head_s < 0 || state.held_up_s >= 0) continue;
    const Session::Point point = session->Checkpoint();
    for (const GangId other : workload.active()) {
      workload.ForEachTask(other, [&](JobId task) {
        if (workload.past(task) <= workload.reserved(id) || workload.Before(other, id)) return;
        if (cluster->snapshot.placed(task)) session->Lift(task);
      });
    }
    if (PlaceGang(session, id)) state.held_up_s = now_;
    session->Rollback(point);
  }
}

}  // namespace flexai::schedule::sim
