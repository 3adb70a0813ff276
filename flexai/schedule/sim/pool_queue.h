// SimulateQueue by the rules of the rivals: events in the order of time, and after each the pools
// that it touched look for what can start.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "flexai/schedule/run_times.h"
#include "flexai/schedule/sim/queueing.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule::sim {

class PoolQueue {
 public:
  PoolQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs, const QueueRules& rules);
  /// Until every job has ended. Errors: kInternal (a place without room).
  Status Run();
  QueueingResult Take();

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;
  using JobIndex = uint32_t;
  using Key = std::pair<int64_t, JobIndex>;  // place in the order; less comes first

  struct Part {
    JobId id;  // in the snapshot
    NodeId node;
    uint32_t cards;
  };
  struct State {
    int64_t left_s = 0;
    int64_t ran_s = 0;        // until it was last started
    int64_t started_s = -1;   // -1: does not run
    uint32_t generation = 0;  // counts starts and stops: older events are void
    int64_t place = 0;        // in the order, while it waits
    std::vector<Part> parts;
  };
  struct Reservation {
    JobIndex head = kNobody;
    std::set<NodeId> nodes;
    std::set<JobIndex> blockers;  // those on whose end it waits
    int64_t due_s = 0;            // as estimated
    int64_t clear_s = -1;         // when the last blocker was gone
  };
  struct PoolState {
    NodeId first = 0;
    uint32_t nodes = 0;
    std::map<uint32_t, std::set<Key>> waiting;  // by cards
    Reservation kept;
  };
  using Event = std::tuple<int64_t, JobIndex, uint32_t>;  // a job's end, its generation

  // A way to have some cards of one node.
  struct Offer {
    NodeId node = 0;
    std::vector<JobIndex> victims;
    std::tuple<uint32_t, bool, uint32_t> price;  // cards suspended, kept for another, idle left
  };

  void Submit(JobIndex job);
  void End(JobIndex job);
  void Sample();
  Status Schedule(PoolState* pool);
  Result<bool> TryStart(JobIndex job, PoolState* pool);
  std::optional<std::vector<Offer>> FindOffers(JobIndex job, const PoolState& pool);
  std::optional<Offer> OfferOf(NodeId node, uint32_t cards, JobIndex job, const PoolState& pool,
                               bool may_use_kept);
  Status Start(JobIndex job, const std::vector<Offer>& offers);
  void Stop(JobIndex job);
  void Suspend(JobIndex job);
  void Reserve(JobIndex job, PoolState* pool);
  void StartHead(PoolState* pool);
  void Enqueue(JobIndex job, int64_t place);
  std::optional<JobIndex> First(const PoolState& pool, const std::set<uint32_t>& blocked) const;

  int64_t Ran(JobIndex job) const;
  bool MakesRoom(JobIndex victim, JobIndex job) const;
  int64_t EstimatedEnd(JobIndex job) const;
  RunKind KindOf(JobIndex job) const;
  static std::vector<uint32_t> PartsOf(uint32_t cards);
  JobId PartOf(uint32_t cards);

  std::span<const TimedJob> jobs_;
  QueueRules rules_;
  Snapshot snapshot_;
  RunTimes run_times_;
  std::vector<State> states_;
  std::vector<PoolState> pools_;
  std::vector<std::vector<JobIndex>> on_node_;
  std::map<uint32_t, std::vector<JobId>> spare_;  // ids of the snapshot that are not placed
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::set<uint32_t> touched_;  // pools
  int64_t now_ = 0;
  int64_t next_sample_s_ = 0;
  uint64_t waiting_ = 0;
  double jct_s_ = 0;
  QueueingResult result_;
};

}  // namespace flexai::schedule::sim
