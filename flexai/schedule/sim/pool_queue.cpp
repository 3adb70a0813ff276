#include "flexai/schedule/sim/pool_queue.h"

#include <algorithm>

#include "flexai/schedule/cards.h"

namespace flexai::schedule::sim {
namespace {

constexpr uint32_t kNodeCards = kPoolNodeCards;
constexpr int64_t kUnknownRun = 24 * 3600;

}  // namespace

PoolQueue::PoolQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs,
                     const QueueRules& rules)
    : jobs_(jobs), rules_(rules), states_(jobs.size()) {
  for (const Pool& pool : pools) {
    pools_.push_back({snapshot_.nodes(), pool.nodes, {}, {}});
    for (uint32_t i = 0; i < pool.nodes; ++i) (void)snapshot_.AddNode({.cards = kNodeCards});
  }
  on_node_.resize(snapshot_.nodes());
}

Status PoolQueue::Run() {
  JobIndex next = 0;
  if (!jobs_.empty()) next_sample_s_ = jobs_[0].submit_s;
  while (next < jobs_.size() || !events_.empty()) {
    now_ = events_.empty() ? jobs_[next].submit_s : std::get<0>(events_.top());
    if (next < jobs_.size()) now_ = std::min(now_, jobs_[next].submit_s);
    Sample();
    while (!events_.empty() && std::get<0>(events_.top()) == now_) {
      const Event event = events_.top();
      events_.pop();
      const auto& [end_s, job, generation] = event;
      if (generation == states_[job].generation) End(job);
    }
    while (next < jobs_.size() && jobs_[next].submit_s == now_) Submit(next++);
    for (const uint32_t pool : touched_) FLEXAI_RETURN_IF_ERROR(Schedule(&pools_[pool]));
    touched_.clear();
  }
  return Status();
}

QueueingResult PoolQueue::Take() {
  if (!result_.queue_s.empty()) {
    result_.mean_jct_s = jct_s_ / static_cast<double>(result_.queue_s.size());
  }
  return std::move(result_);
}

void PoolQueue::Sample() {
  for (; next_sample_s_ <= now_; next_sample_s_ += kBacklogEvery) {
    result_.backlog.push_back({next_sample_s_, waiting_});
  }
}

void PoolQueue::Submit(JobIndex job) {
  const TimedJob& asked = jobs_[job];
  if (asked.cards > pools_[asked.pool].nodes * kNodeCards) {
    ++result_.refused;
    return;
  }
  states_[job].left_s = asked.run_s;
  const bool by_time =
      rules_.order == QueueRules::Order::kRunTime || rules_.order == QueueRules::Order::kTimeLeft;
  Enqueue(job, by_time ? asked.run_s : 0);
}

void PoolQueue::Enqueue(JobIndex job, int64_t place) {
  states_[job].place = place;
  pools_[jobs_[job].pool].waiting[jobs_[job].cards].insert({place, job});
  touched_.insert(jobs_[job].pool);
  ++waiting_;
}

void PoolQueue::End(JobIndex job) {
  const TimedJob& asked = jobs_[job];
  touched_.insert(asked.pool);
  Stop(job);
  run_times_.Learn(KindOf(job), asked.run_s);
  result_.queue_s.push_back(now_ - asked.submit_s - asked.run_s);
  jct_s_ += static_cast<double>(now_ - asked.submit_s);
}

int64_t PoolQueue::Ran(JobIndex job) const {
  const State& state = states_[job];
  return state.ran_s + (state.started_s < 0 ? 0 : now_ - state.started_s);
}

bool PoolQueue::MakesRoom(JobIndex victim, JobIndex job) const {
  const State& state = states_[victim];
  return rules_.suspend && state.left_s - (now_ - state.started_s) > states_[job].place;
}

RunKind PoolQueue::KindOf(JobIndex job) const {
  return {.queue = jobs_[job].pool, .cards = jobs_[job].cards};
}

int64_t PoolQueue::EstimatedEnd(JobIndex job) const {
  const int64_t ran = Ran(job);
  const int64_t run = run_times_.Estimate(KindOf(job), kSafePermille);
  // Who ran longer than that may run as long again.
  const int64_t whole = run == 0 ? kUnknownRun : run;
  return now_ + (whole > ran ? whole - ran : ran);
}

std::vector<uint32_t> PoolQueue::PartsOf(uint32_t cards) {
  std::vector<uint32_t> parts(cards / kNodeCards, kNodeCards);
  if (cards % kNodeCards != 0) parts.push_back(cards % kNodeCards);
  return parts;
}

JobId PoolQueue::PartOf(uint32_t cards) {
  std::vector<JobId>& spare = spare_[cards];
  if (spare.empty()) return snapshot_.AddJob({.cards = cards, .share = kWholeCard});
  const JobId id = spare.back();
  spare.pop_back();
  return id;
}

std::optional<PoolQueue::JobIndex> PoolQueue::First(const PoolState& pool,
                                                    const std::set<uint32_t>& blocked) const {
  std::optional<Key> first;
  for (const auto& [cards, keys] : pool.waiting) {
    if (keys.empty() || blocked.count(cards) != 0) continue;
    if (!first || *keys.begin() < *first) first = *keys.begin();
  }
  if (!first) return std::nullopt;
  return first->second;
}

Status PoolQueue::Schedule(PoolState* pool) {
  std::set<uint32_t> blocked;  // with so many cards nobody who comes later has room either
  for (bool first = true;; first = false) {
    // Later on, room on its nodes may come from one that was suspended for another.
    if (pool->kept.head != kNobody && (first || pool->kept.clear_s >= 0)) {
      const Result<bool> started = TryStart(pool->kept.head, pool);
      if (!started.ok()) return started.status();
    }
    const std::optional<JobIndex> job = First(*pool, blocked);
    if (!job) return Status();
    const Result<bool> started = TryStart(*job, pool);
    if (!started.ok()) return started.status();
    if (*started) continue;
    if (!rules_.skip) return Status();
    blocked.insert(jobs_[*job].cards);
    if (rules_.reserve && pool->kept.head == kNobody) Reserve(*job, pool);
  }
}

Result<bool> PoolQueue::TryStart(JobIndex job, PoolState* pool) {
  const auto offers = FindOffers(job, *pool);
  if (!offers) return false;
  if (pool->kept.head == job) {
    StartHead(pool);
  } else {
    pool->waiting[jobs_[job].cards].erase({states_[job].place, job});
  }
  --waiting_;
  FLEXAI_RETURN_IF_ERROR(Start(job, *offers));
  return true;
}

std::optional<std::vector<PoolQueue::Offer>> PoolQueue::FindOffers(JobIndex job,
                                                                   const PoolState& pool) {
  // Without suspending, only who is expected to be gone in time may use what is kept.
  const bool may_use_kept =
      rules_.suspend || pool.kept.head == kNobody || pool.kept.head == job ||
      (run_times_.Estimate(KindOf(job), kSafePermille) > 0 &&
       now_ + run_times_.Estimate(KindOf(job), kSafePermille) <= pool.kept.due_s);
  std::vector<Offer> chosen;
  for (const uint32_t cards : PartsOf(jobs_[job].cards)) {
    std::optional<Offer> best;
    for (NodeId node = pool.first; node < pool.first + pool.nodes; ++node) {
      const bool taken = std::any_of(chosen.begin(), chosen.end(),
                                     [&](const Offer& offer) { return offer.node == node; });
      if (taken) continue;
      std::optional<Offer> offer = OfferOf(node, cards, job, pool, may_use_kept);
      if (offer && (!best || offer->price < best->price)) best = std::move(offer);
    }
    if (!best) return std::nullopt;
    chosen.push_back(*std::move(best));
  }
  return chosen;
}

std::optional<PoolQueue::Offer> PoolQueue::OfferOf(NodeId node, uint32_t cards, JobIndex job,
                                                   const PoolState& pool, bool may_use_kept) {
  const bool head = pool.kept.head == job;
  const bool kept = !head && pool.kept.nodes.count(node) != 0;
  if (kept && !may_use_kept) return std::nullopt;
  uint32_t idle = snapshot_.idle_cards(node);
  Offer offer{node, {}, {}};
  uint32_t suspended = 0;
  if (idle < cards && rules_.suspend) {
    std::vector<JobIndex> can;
    for (const JobIndex other : on_node_[node]) {
      if (MakesRoom(other, job)) can.push_back(other);
    }
    std::sort(can.begin(), can.end(), [&](JobIndex a, JobIndex b) {
      return std::tuple(Ran(a), a) > std::tuple(Ran(b), b);
    });
    for (const JobIndex victim : can) {
      if (idle >= cards) break;
      for (const Part& part : states_[victim].parts) idle += part.node == node ? part.cards : 0;
      suspended += jobs_[victim].cards;
      offer.victims.push_back(victim);
    }
  }
  if (idle < cards) return std::nullopt;
  offer.price = {suspended, kept, idle - cards};
  return offer;
}

Status PoolQueue::Start(JobIndex job, const std::vector<Offer>& offers) {
  for (const Offer& offer : offers) {
    for (const JobIndex victim : offer.victims) {
      if (states_[victim].started_s >= 0) Suspend(victim);  // not yet for another of its nodes
    }
  }
  State& state = states_[job];
  const std::vector<uint32_t> sizes = PartsOf(jobs_[job].cards);
  for (size_t i = 0; i < offers.size(); ++i) {
    const NodeId node = offers[i].node;
    const JobId id = PartOf(sizes[i]);
    const CardSet cards = TightestCards(snapshot_, node, snapshot_.request(id));
    if (const Status placed = snapshot_.Place(id, {node, cards}); !placed.ok()) {
      return Status(Code::kInternal, std::string(placed.message()));
    }
    state.parts.push_back({id, node, sizes[i]});
    on_node_[node].push_back(job);
  }
  state.started_s = now_;
  ++state.generation;
  events_.push({now_ + state.left_s, job, state.generation});
  return Status();
}

void PoolQueue::Stop(JobIndex job) {
  State& state = states_[job];
  for (const Part& part : state.parts) {
    snapshot_.Remove(part.id);
    spare_[part.cards].push_back(part.id);
    std::vector<JobIndex>& here = on_node_[part.node];
    here.erase(std::find(here.begin(), here.end(), job));
  }
  state.parts.clear();
  state.left_s -= now_ - state.started_s;
  state.ran_s += now_ - state.started_s;
  state.started_s = -1;
  ++state.generation;
  Reservation& kept = pools_[jobs_[job].pool].kept;
  if (kept.blockers.erase(job) != 0 && kept.blockers.empty()) kept.clear_s = now_;
}

void PoolQueue::Suspend(JobIndex job) {
  Stop(job);
  ++result_.suspensions;
  Enqueue(job, states_[job].left_s);
}

void PoolQueue::Reserve(JobIndex job, PoolState* pool) {
  Reservation kept;
  kept.head = job;
  for (const uint32_t cards : PartsOf(jobs_[job].cards)) {
    NodeId best = 0;
    int64_t soonest = INT64_MAX;
    std::vector<JobIndex> best_blockers;
    for (NodeId node = pool->first; node < pool->first + pool->nodes; ++node) {
      if (kept.nodes.count(node) != 0) continue;
      std::vector<std::pair<int64_t, JobIndex>> ends;
      for (const JobIndex other : on_node_[node]) {
        ends.emplace_back(EstimatedEnd(other), other);
      }
      std::sort(ends.begin(), ends.end());
      uint32_t idle = snapshot_.idle_cards(node);
      int64_t at = now_;
      std::vector<JobIndex> blockers;
      for (size_t i = 0; i < ends.size() && idle < cards; ++i) {
        at = ends[i].first;
        for (const Part& part : states_[ends[i].second].parts) {
          idle += part.node == node ? part.cards : 0;
        }
        blockers.push_back(ends[i].second);
      }
      if (at >= soonest) continue;
      soonest = at;
      best = node;
      best_blockers = std::move(blockers);
    }
    kept.nodes.insert(best);
    kept.due_s = std::max(kept.due_s, soonest);
    kept.blockers.insert(best_blockers.begin(), best_blockers.end());
  }
  if (kept.blockers.empty()) kept.clear_s = now_;
  pool->kept = std::move(kept);
  pool->waiting[jobs_[job].cards].erase({states_[job].place, job});
  ++result_.reservations;
}

void PoolQueue::StartHead(PoolState* pool) {
  const int64_t late = pool->kept.clear_s < 0 ? 0 : now_ - pool->kept.clear_s;
  if (late > 0) ++result_.late_heads;
  result_.longest_late_s = std::max(result_.longest_late_s, late);
  pool->kept = {};
}

}  // namespace flexai::schedule::sim
