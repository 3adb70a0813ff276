// What decisions of the scheduler's core cost: whole rounds and single verdicts on full clusters.
// One line for each question, with the time of one thread. Nothing here waits for anything else:
// no API server, no watch, no binding.
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/explain.h"
#include "flexai/schedule/gang.h"

using namespace flexai;            // NOLINT: a program
using namespace flexai::schedule;  // NOLINT

namespace {

class Cluster {
 public:
  Cluster(uint32_t nodes, uint32_t queues, const Queue& queue) : workload_(&snapshot_) {
    for (uint32_t i = 0; i < nodes; ++i) {
      Must(snapshot_.AddNode({.cpu_milli = 128'000,
                              .memory_mib = 1 << 20,
                              .card_memory_mib = 81'920,
                              .cards = 8,
                              .rack = i / 20,
                              .block = i / 200}));
    }
    for (uint32_t i = 0; i < queues; ++i) Must(snapshot_.mutable_queues()->Add(queue));
    const std::vector<Request> seen = {Ask(1), Ask(8)};
    typical_ = TypicalJobs(seen);
    fragmentation_.emplace(typical_);
    auto placer = MakePlacer("flexai", {&snapshot_, &*fragmentation_, typical_, 0});
    Must(placer);
    placer_ = *std::move(placer);
  }

  static Request Ask(uint32_t cards) {
    return {.cpu_milli = 8'000 * cards,
            .memory_mib = 65'536 * cards,
            .cards = cards,
            .share = kWholeCard};
  }

  GangId Add(QueueId queue, uint32_t tasks, uint32_t cards, int64_t estimate_s = 3'600) {
    Gang gang;
    gang.queue = queue;
    gang.arrived_s = now_s_;
    gang.estimate_s = estimate_s;
    gang.parts.push_back({.request = Ask(cards), .tasks = tasks, .minimum = tasks});
    const Result<GangId> id = workload_.Add(std::move(gang));
    Must(id);
    return *id;
  }

  /// One whole round; what it decided is in Count().
  void Round(const Options& options = {}) {
    Session session(&snapshot_, &workload_, placer_.get(), &history_, options, ++now_s_);
    RunCycle(&session);
    counts_ = {};
    for (const Decision& decision : session.decisions())
      ++counts_[static_cast<size_t>(decision.act)];
  }
  size_t Count(Act act) const { return counts_[static_cast<size_t>(act)]; }

  /// Asks whether a gang can run, within a session that stands already.
  std::optional<NoRoom> Prove(GangId id, double* seconds) {
    Session session(&snapshot_, &workload_, placer_.get(), &history_, {}, ++now_s_);
    const auto begin = std::chrono::steady_clock::now();
    const std::optional<NoRoom> proof = ProveNoRoom(session, id);
    *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return proof;
  }

  Workload& workload() { return workload_; }
  size_t Running() const {
    size_t running = 0;
    for (const GangId id : workload_.active()) running += workload_.Running(id);
    return running;
  }

 private:
  template <typename T>
  static void Must(const Result<T>& result) {
    if (result.ok()) return;
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    std::exit(1);
  }

  Snapshot snapshot_;
  Workload workload_;
  UsageHistory history_;
  std::vector<TypicalJob> typical_;
  std::optional<Fragmentation> fragmentation_;
  std::unique_ptr<Placer> placer_;
  int64_t now_s_ = 0;
  std::array<size_t, 6> counts_{};
};

template <typename Work>
double Timed(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void Tell(const char* question, double seconds, const std::string& what) {
  std::printf("%-62s %10.2f ms  %s\n", question, seconds * 1e3, what.c_str());
  std::fflush(stdout);
}

void FillAndAskAGang() {
  Cluster cluster(500, 1, {});
  for (int i = 0; i < 4'000; ++i) cluster.Add(1, 1, 1);
  double seconds = Timed([&] { cluster.Round(); });
  Tell("fill 500 nodes x 8 with 4,000 jobs of one card", seconds,
       std::to_string(cluster.Running()) + " run");
  const GangId gang = cluster.Add(1, 10, 8);
  const std::optional<NoRoom> proof = cluster.Prove(gang, &seconds);
  Tell("  prove that a gang of 10 x 8 cards cannot run there", seconds,
       proof ? "room for " + std::to_string(proof->slots) + " of " + std::to_string(proof->needed)
             : "no proof");
  seconds = Timed([&] { cluster.Round(); });
  Tell("  a whole round that tries it, with its reservation", seconds,
       std::to_string(cluster.Running()) + " run");
}

void TakeBack() {
  Queue owner;
  owner.quota[kCards] = 2'000 * kWholeCard;
  Cluster cluster(500, 2, owner);
  for (int i = 0; i < 4'000; ++i) cluster.Add(1, 1, 1);
  cluster.Round();
  cluster.Add(2, 1, 1);
  const double seconds = Timed([&] { cluster.Round(); });
  Tell("reclaim one card among 4,000 running jobs, a whole round", seconds,
       std::to_string(cluster.Count(Act::kStart)) + " started, " +
           std::to_string(cluster.Count(Act::kEvict) + cluster.Count(Act::kSuspend)) +
           " taken back");
}

// Every node runs one job of one card; gangs want whole nodes, of which there is none.
void Consolidate41() {
  Cluster cluster(500, 1, {});
  std::vector<GangId> jobs;
  for (int i = 0; i < 4'000; ++i) jobs.push_back(cluster.Add(1, 1, 1));
  cluster.Round();
  // Jobs were packed node by node: all but the first of each leave.
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (i % 8 != 0) cluster.workload().Leave(jobs[i]);
  }
  for (int i = 0; i < 41; ++i) cluster.Add(1, 10, 8);
  const double seconds = Timed([&] { cluster.Round(); });
  Tell("consolidate for 41 gangs of 10 x 8, a job on each of 500 nodes", seconds,
       std::to_string(cluster.Count(Act::kStart) / 10) + " gangs started, " +
           std::to_string(cluster.Count(Act::kMove)) + " moves");
}

void ManyQueues() {
  Queue queue;
  queue.quota[kCards] = 4 * kWholeCard;
  Cluster cluster(500, 1'000, queue);
  double seconds = Timed([&] {
    for (int i = 0; i < 50'000; ++i) cluster.Add(1 + static_cast<QueueId>(i % 1'000), 1, 1, 600);
  });
  Tell("hand in 50,000 jobs to 1,000 queues", seconds, "");
  double sum = 0;
  int rounds = 0;
  size_t ran = 0;
  while (!cluster.workload().active().empty() && rounds < 100) {
    sum += Timed([&] { cluster.Round(); });
    ++rounds;
    const std::vector<GangId> all = cluster.workload().active();
    for (const GangId id : all) {
      if (!cluster.workload().Running(id)) continue;
      cluster.workload().Leave(id);
      ++ran;
    }
  }
  Tell("  run all of them, 4,000 at a time", sum,
       std::to_string(ran) + " ran in " + std::to_string(rounds) + " rounds");
}

void Large() {
  std::optional<Cluster> cluster;
  double seconds = Timed([&] {
    cluster.emplace(50'000, 1, Queue{});
    for (int i = 0; i < 500'000; ++i) cluster->Add(1, 1, 1);
  });
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  Tell("build 50,000 nodes x 8 and 500,000 jobs", seconds,
       std::to_string(use.ru_maxrss / 1024) + " MiB in all");
  seconds = Timed([&] { cluster->Round(); });
  getrusage(RUSAGE_SELF, &use);
  Tell("  place all for which there is room, a whole round", seconds,
       std::to_string(cluster->Running()) + " run, " + std::to_string(use.ru_maxrss / 1024) +
           " MiB in all");
}

}  // namespace

int main() {
  FillAndAskAGang();
  TakeBack();
  Consolidate41();
  ManyQueues();
  Large();
}
