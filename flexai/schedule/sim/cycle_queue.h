// SimulateQueue by the scheduler's own rounds, policy flexai: each pool is a cluster with one
// queue, and a job's priority falls as it gets older.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "flexai/schedule/run_times.h"
#include "flexai/schedule/session.h"
#include "flexai/schedule/sim/queueing.h"

namespace flexai::schedule::sim {

class CycleQueue {
 public:
  CycleQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs);
  QueueingResult Run();

 private:
  static constexpr size_t kAges = 3;
  using JobIndex = uint32_t;

  struct State {
    int64_t left_s = 0;
    int64_t ran_s = 0;                  // until it was last started
    int64_t young_s = 0;                // ran_s when its age began
    int64_t started_s = -1;             // -1: does not run
    int64_t expected_s = 0;             // how long it will run, as far as others tell
    int64_t head_s = -1;                // since when it has a reservation
    int64_t held_up_s = -1;             // since when it could run but for those who were let past
    uint32_t generation = 0;            // counts starts and stops: older events are void
    std::array<int64_t, kAges> ages{};  // run times of its pool at which it gets older; 0: unknown
    GangId gang = 0;
  };
  // A virtual cluster.
  struct Cluster {
    explicit Cluster(uint32_t nodes);
    uint32_t nodes;
    Snapshot snapshot;
    Workload workload{&snapshot};
    UsageHistory history;
    Fragmentation fragmentation{std::vector<TypicalJob>{}};
    std::unique_ptr<Placer> placer;
    std::vector<JobIndex> job_of;  // of each gang
  };
  enum class What { kEnd, kOlder, kPatience };
  using Event = std::tuple<int64_t, What, JobIndex, uint32_t>;  // time, job, its generation

  void Submit(JobIndex job);
  void Handle(const Event& event);
  void Round(Cluster* cluster);
  void Follow(Cluster* cluster, const Session& session);
  void Stop(JobIndex job);
  void Start(JobIndex job);
  void WatchHeads(Cluster* cluster, Session* session);
  void Remember(JobIndex job);
  int32_t Age(JobIndex job) const;
  RunKind KindOf(JobIndex job) const;

  std::span<const TimedJob> jobs_;
  RunTimes run_times_;
  std::vector<State> states_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::set<uint32_t> touched_;  // clusters
  int64_t now_ = 0;
  uint64_t waiting_ = 0;
  double jct_s_ = 0;
  QueueingResult result_;
};

}  // namespace flexai::schedule::sim
