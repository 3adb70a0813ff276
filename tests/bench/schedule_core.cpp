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
#include "flexai/schedule/dice.h"
#include "flexai/schedule/explain.h"
#include "flexai/schedule/gang.h"

using namespace flexai;            // NOLINT: a program
using namespace flexai::schedule;  // NOLINT

namespace {

// Whether nodes, jobs and links tell all that the terms of the price look at.
enum class Tell : uint8_t { kLittle, kAll };

// One of about 180 kinds: most ask for a part of a card and its memory, few for all of a node.
Part DrawPart(Dice* dice) {
  static constexpr Milli kShares[] = {100, 200, 300, 500, 700};
  Part part;
  Request& request = part.request;
  const uint32_t size = dice->Below(100);
  request.cards = size < 80 ? 1 : size < 90 ? 2 : size < 96 ? 4 : 8;
  request.share = size < 55 ? kShares[dice->Below(5)] : kWholeCard;
  request.cpu_milli = int64_t{12} * request.share * request.cards;
  request.memory_mib = int64_t{96} * request.share * request.cards;
  if (dice->Below(2) == 0) request.card_memory_mib = int64_t{36} * request.share;
  if (size < 55) request.load = 1 + dice->Below(4);
  if (dice->Below(5) == 0) request.models = ModelSet{1} << dice->Below(3);
  if (size >= 80 && dice->Below(2) == 0) part.tasks = part.minimum = 2 + dice->Below(7);
  if (dice->Below(100) == 0) {
    // More CPU than a node with cards has.
    part.request = {.cpu_milli = 160'000, .memory_mib = 65'536, .cards = 1, .share = kWholeCard};
    part.tasks = part.minimum = 1;
    part.remote = {.waits_per_s = 500, .bytes_per_s = 400'000'000, .budget_ppm = 50'000};
  }
  return part;
}

class Cluster {
 public:
  Cluster(uint32_t nodes, uint32_t queues, const Queue& queue, Tell tell = Tell::kLittle)
      : workload_(&snapshot_) {
    const bool all = tell == Tell::kAll;
    // Two NUMA nodes, each with two linked pairs, or all linked by a switch.
    const std::vector<CardSet> numa = {0x0f, 0xf0};
    const BoardId boards[] = {snapshot_.AddBoard(*Board::Make(numa, {0x03, 0x0c, 0x30, 0xc0})),
                              snapshot_.AddBoard(*Board::Make(numa, {0xff}))};
    for (uint32_t i = 0; i < nodes; ++i) {
      Must(snapshot_.AddNode({.cpu_milli = 128'000,
                              .memory_mib = 1 << 20,
                              .card_memory_mib = all && i % 3 == 0 ? 40'960 : 81'920,
                              .cards = 8,
                              .model = all ? i % 3 : 0,
                              .rack = i / 20,
                              .block = i / 200,
                              .board = all ? boards[i % 2] : 0}));
      if (!all || i % 20 != 0) continue;
      Must(snapshot_.AddNode(
          {.cpu_milli = 512'000, .memory_mib = 1 << 20, .rack = i / 20, .block = i / 200}));
    }
    for (uint32_t i = 0; i < queues; ++i) Must(snapshot_.mutable_queues()->Add(queue));
    std::vector<Request> seen = {Ask(1), Ask(8)};
    for (int i = 0; all && i < 5'000; ++i) seen.push_back(DrawPart(&dice_).request);
    for (LoadId load = 1; all && load < 5; ++load) pairs_.Declare(load, 5 - load, 50 * load);
    links_.rack.round_trip_ns = 10'000;
    typical_ = TypicalJobs(seen);
    fragmentation_.emplace(typical_);
    const PolicyInput input{.snapshot = &snapshot_,
                            .fragmentation = &*fragmentation_,
                            .typical = typical_,
                            .seed = 0,
                            .interference = all ? &pairs_ : nullptr,
                            .links = all ? &links_ : nullptr};
    auto placer = MakePlacer("flexai", input);
    Must(placer);
    placer_ = *std::move(placer);
  }

  static Request Ask(uint32_t cards) {
    return {.cpu_milli = 8'000 * cards,
            .memory_mib = 65'536 * cards,
            .cards = cards,
            .share = kWholeCard};
  }

  /// Gangs drawn by lot, with so many tasks or a few more.
  void AddDrawn(size_t tasks) {
    for (size_t added = 0; added < tasks;) added += AddOneDrawn();
  }
  uint32_t AddOneDrawn() {
    Gang gang;
    gang.queue = 1;
    gang.arrived_s = now_s_;
    gang.estimate_s = 3'600;
    gang.parts.push_back(DrawPart(&dice_));
    const uint32_t tasks = gang.parts[0].tasks;
    Must(workload_.Add(std::move(gang)));
    return tasks;
  }
  /// One in `of` of those that run leaves, and one in ten of these waits to come back. Returns the
  /// tasks of the others.
  size_t Churn(uint32_t of) {
    const std::vector<GangId> all = workload_.active();
    size_t gone = 0;
    for (const GangId id : all) {
      if (dice_.Below(of) != 0 || !workload_.Running(id)) continue;
      if (dice_.Below(10) == 0) {
        workload_.Requeue(id);
      } else {
        gone += workload_[id].parts[0].tasks;
        workload_.Leave(id);
      }
    }
    return gone;
  }

  GangId Add(QueueId queue, uint32_t tasks, uint32_t cards, int64_t estimate_s = 3'600) {
    Gang gang;
    gang.queue = queue;
    gang.checkpointable = checkpointable;
    gang.arrived_s = now_s_;
    gang.estimate_s = estimate_s;
    gang.parts.push_back({.request = Ask(cards), .tasks = tasks, .minimum = tasks});
    const Result<GangId> id = workload_.Add(std::move(gang));
    Must(id);
    return *id;
  }

  /// One whole round; what it decided is in Count().
  void Round() {
    Options options;
    options.links = links_;
    options.usual = &*fragmentation_;
    options.defragment_every_s = defragment_every_s;
    options.defragment_moves = 1'000;
    Session session(&snapshot_, &workload_, placer_.get(), &history_, options, ++now_s_);
    RunCycle(&session);
    counts_ = {};
    remote_ = 0;
    for (const Decision& decision : session.decisions()) {
      ++counts_[static_cast<size_t>(decision.act)];
      remote_ += decision.act == Act::kStart && decision.place.host != kSameNode;
    }
  }
  size_t Count(Act act) const { return counts_[static_cast<size_t>(act)]; }
  size_t Remote() const { return remote_; }

  /// Asks whether a gang can run, within a session that stands already.
  std::optional<NoRoom> Prove(GangId id, double* seconds) {
    Session session(&snapshot_, &workload_, placer_.get(), &history_, {}, ++now_s_);
    const auto begin = std::chrono::steady_clock::now();
    const std::optional<NoRoom> proof = ProveNoRoom(session, id);
    *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return proof;
  }

  Workload& workload() { return workload_; }
  int64_t defragment_every_s = 0;
  bool checkpointable = false;  // those that are added
  /// Of all cards, what is held. Units: percent.
  int64_t Filled() const {
    int64_t idle = 0, all = 0;
    for (NodeId node = 0; node < snapshot_.nodes(); ++node) {
      idle += snapshot_.idle(node);
      all += int64_t{snapshot_.cards(node)} * kWholeCard;
    }
    return 100 - 100 * idle / all;
  }
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

  Dice dice_{1};
  Snapshot snapshot_;
  Interference pairs_;
  RemoteLinks links_;
  Workload workload_;
  UsageHistory history_;
  std::vector<TypicalJob> typical_;
  std::optional<Fragmentation> fragmentation_;
  std::unique_ptr<Placer> placer_;
  int64_t now_s_ = 0;
  std::array<size_t, 6> counts_{};
  size_t remote_ = 0;
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

// Every node runs one job of one card.
void Scatter(Cluster* cluster, size_t nodes) {
  std::vector<GangId> jobs;
  for (size_t i = 0; i < nodes * 8; ++i) jobs.push_back(cluster->Add(1, 1, 1));
  cluster->Round();
  // Jobs were packed node by node: all but the first of each leave.
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (i % 8 != 0) cluster->workload().Leave(jobs[i]);
  }
}

void DefragmentScattered(const char* question, uint32_t nodes) {
  Cluster cluster(nodes, 1, {});
  cluster.checkpointable = true;
  Scatter(&cluster, nodes);
  cluster.defragment_every_s = 1;
  const double seconds = Timed([&] { cluster.Round(); });
  Tell(question, seconds, std::to_string(cluster.Count(Act::kMove)) + " moves");
}

// Gangs want whole nodes, of which there is none.
void Consolidate41() {
  Cluster cluster(500, 1, {});
  Scatter(&cluster, 500);
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

// Decisions with all terms at work: rounds in which gangs come until four cards in five are held,
// then rounds in which some leave, others come, and some of those that lost their place come back.
void AllTerms(uint32_t nodes, size_t batch) {
  Cluster cluster(nodes, 1, {}, Tell::kAll);
  double seconds = 0;
  size_t started = 0, remote = 0;
  const auto round = [&] {
    seconds += Timed([&] { cluster.Round(); });
    started += cluster.Count(Act::kStart);
    remote += cluster.Remote();
  };
  while (cluster.Filled() < 80) {
    cluster.AddDrawn(batch);
    round();
  }
  const auto tell = [&](const std::string& what) {
    const auto rate = static_cast<int64_t>(static_cast<double>(started) / seconds);
    Tell(what.c_str(), seconds,
         std::to_string(started) + " tasks, " + std::to_string(remote) + " of them remote, " +
             std::to_string(rate) + "/s");
    seconds = 0;
    started = remote = 0;
  };
  tell("all terms: fill four fifths of " + std::to_string(nodes) + " nodes x 8");
  for (int i = 0; i < 10; ++i) {
    cluster.AddDrawn(cluster.Churn(20));
    round();
  }
  tell("  ten rounds in which a part leaves and others come");
}

// A pod of a list made up so that card memory is as scarce as share, and not in proportion to it.
Request DrawPod(Dice* dice) {
  static constexpr Milli kShares[] = {100, 200, 300, 500, 700};
  static constexpr int64_t kMemory[] = {4'000, 10'000, 20'000, 40'000, 60'000};
  Request request;
  const uint32_t size = dice->Below(100);
  request.cards = size < 80 ? 1 : size < 90 ? 2 : size < 96 ? 4 : 8;
  request.share = size < 55 ? kShares[dice->Below(5)] : kWholeCard;
  request.cpu_milli = int64_t{8} * request.share * request.cards;
  if (size < 55) request.card_memory_mib = kMemory[dice->Below(5)];
  if (size >= 55 && dice->Below(3) == 0) request.card_memory_mib = 60'000;
  return request;
}

// How much of 1,000 nodes is given out at 100 % and 130 % arrived demand, and in what time.
void FillByMemory(bool counts) {
  double at_100 = 0, at_130 = 0;
  const double seconds = Timed([&] {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      Dice dice(seed);
      Snapshot snapshot;
      for (uint32_t i = 0; i < 1'000; ++i) {
        (void)snapshot.AddNode({.cpu_milli = 128'000,
                                .card_memory_mib = i % 3 == 0 ? 40'960 : 81'920,
                                .cards = 8,
                                .model = i % 3});
      }
      std::vector<Request> seen(20'000);
      for (Request& request : seen) request = DrawPod(&dice);
      for (Request& request : seen) request.card_memory_mib *= counts ? 1 : 0;
      const std::vector<TypicalJob> typical = TypicalJobs(seen);
      const Fragmentation fragmentation(typical);
      const auto placer = *MakePlacer("flexai", {&snapshot, &fragmentation, typical, 0});
      constexpr int64_t kAll = 1'000 * 8 * kWholeCard;
      int64_t arrived = 0, given = 0, in_time = 0;
      while (arrived < kAll * 13 / 10) {
        const Request request = DrawPod(&dice);
        arrived += CardDemand(request);
        const auto place = placer->Find(request);
        if (place && snapshot.Place(snapshot.AddJob(request), *place).ok()) {
          given += CardDemand(request);
        }
        if (arrived <= kAll) in_time = given;
      }
      at_100 += 10.0 * static_cast<double>(in_time) / kAll;
      at_130 += 10.0 * static_cast<double>(given) / kAll;
    }
  });
  std::array<char, 64> told{};
  std::snprintf(told.data(), told.size(), "%.2f %% / %.2f %% given out", at_100, at_130);
  Tell(counts ? "  the same where it counts for the price"
              : "fill 1,000 nodes x 8, ten lists, where card memory only limits",
       seconds, told.data());
}

}  // namespace

int main() {
  FillAndAskAGang();
  TakeBack();
  Consolidate41();
  DefragmentScattered("  the same by the timer, for nobody in particular", 500);
  ManyQueues();
  Large();
  DefragmentScattered("move by the timer on 50,000 nodes with a job on each", 50'000);
  FillByMemory(false);
  FillByMemory(true);
  AllTerms(1'213, 500);
  AllTerms(50'000, 20'000);
}
