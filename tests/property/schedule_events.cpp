// Random events hit a cluster that the scheduler runs: gangs arrive and leave, nodes and cards fail
// and heal, shares and quotas change. After every round all that was promised is counted anew from
// the placements alone, and who has a reservation must not wait for one that came after it. Each
// seed is played twice; the decisions must be the same.
//   schedule_events [EVENTS [SEED...]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/gang.h"
#include "tests/property/reservation_watch.h"

namespace flexai::schedule {
namespace {

constexpr uint32_t kNodes = 10;
constexpr uint32_t kQueues = 6;
constexpr size_t kMostGangs = 48;

struct Counts {
  uint64_t rounds = 0, starts = 0, evictions = 0, moves = 0, shrinks = 0, undone = 0;
  uint64_t tidied = 0;                     // moves for nobody in particular
  uint64_t heads = 0;                      // times that one with a reservation was looked at
  uint64_t digest = 1469598103934665603u;  // of all decisions, FNV-1a
  std::vector<std::string> faults;
};

class World {
 public:
  explicit World(uint64_t seed) : lots_(seed), workload_(&snapshot_), history_(3600, 500) {
    options_.claim_waits = seed % 2 == 0;
    const BoardId board = snapshot_.AddBoard(*Board::Make({0x0f, 0xf0}, {0x33, 0xcc}));
    for (uint32_t i = 0; i < kNodes; ++i) {
      const Result<NodeId> added = snapshot_.AddNode({.cpu_milli = 32'000 + 32'000 * (i % 2),
                                                      .memory_mib = 262'144,
                                                      .card_memory_mib = 40'960,
                                                      .cards = 2 + 2 * (i % 4),
                                                      .model = i % 2,
                                                      .rack = i / 3,
                                                      .block = i / 6,
                                                      .board = i % 4 == 3 ? board : 0});
      if (!added.ok()) std::abort();
    }
    for (QueueId i = 1; i < kQueues; ++i) {
      if (!snapshot_.mutable_queues()->Add(RandomQueue(i < 3 ? kRoot : 1 + i % 2)).ok()) {
        std::abort();
      }
    }
    for (int i = 0; i < 30; ++i) seen_.push_back(RandomRequest());
    typical_ = TypicalJobs(seen_);
    fragmentation_.emplace(typical_);
    options_.usual = &*fragmentation_;
    options_.defragment_every_s = 100;
    options_.defragment_moves = 3;
    pairs_.Declare(1, 2, 300);
    auto placer =
        MakePlacer("flexai", {&snapshot_, &*fragmentation_, typical_, 0, &pairs_, &links_});
    if (!placer.ok()) std::abort();
    placer_ = *std::move(placer);
  }

  Counts Play(uint64_t events) {
    for (uint64_t i = 0; i < events && counts_.faults.size() < 5; ++i) {
      now_s_ += Below(30);
      Happen();
      Round();
      if (i % 100 == 99) Rest();
    }
    return std::move(counts_);
  }

 private:
  uint64_t Below(uint64_t end) { return lots_() % end; }

  Queue RandomQueue(QueueId parent) {
    Queue queue;
    queue.parent = parent;
    queue.quota[kCards] = static_cast<int64_t>(Below(12)) * 500;
    if (Below(3) == 0) queue.limit[kCards] = 4'000 + static_cast<int64_t>(Below(16)) * 1'000;
    if (Below(3) == 0) queue.limit[kCpu] = 50'000 + static_cast<int64_t>(Below(100)) * 1'000;
    if (Below(3) == 0) queue.quota[kMemory] = static_cast<int64_t>(Below(200)) * 1'024;
    queue.weight = static_cast<int64_t>(Below(4));
    queue.priority = static_cast<int32_t>(Below(2));
    return queue;
  }

  Request RandomRequest() {
    Request request;
    request.cpu_milli = static_cast<int64_t>(Below(9)) * 500;
    request.memory_mib = static_cast<int64_t>(Below(9)) * 2'048;
    if (Below(8) == 0) return request;
    const bool part = Below(2) == 0;
    request.cards = part ? 1 : 1 + static_cast<uint32_t>(Below(4));
    request.load = static_cast<LoadId>(Below(3));
    request.share = part ? 50 + static_cast<Milli>(Below(18)) * 50 : kWholeCard;
    if (Below(2) == 0) request.card_memory_mib = static_cast<int64_t>(Below(20)) * 1'024;
    if (Below(4) == 0) request.models = ModelSet{1} << Below(2);
    return request;
  }

  void Arrive() {
    if (workload_.active().size() >= kMostGangs) return;
    Gang gang;
    gang.queue = 1 + static_cast<QueueId>(Below(kQueues - 1));
    gang.priority = static_cast<int32_t>(Below(3));
    gang.preemptible = Below(4) != 0;
    gang.checkpointable = Below(2) == 0;
    gang.arrived_s = now_s_;
    gang.estimate_s = static_cast<int64_t>(Below(3)) * 200;
    gang.least_run_s = static_cast<int64_t>(Below(2)) * 60;
    if (Below(4) == 0) gang.preferred = static_cast<Level>(Below(4));
    if (Below(6) == 0) gang.required = static_cast<Level>(1 + Below(3));
    const uint64_t parts = Below(4) == 0 ? 2 : 1;
    for (uint64_t i = 0; i < parts; ++i) {
      Part part;
      part.request = RandomRequest();
      if (Below(3) == 0) part.tasks = 1 + static_cast<uint32_t>(Below(4));
      part.minimum = 1 + static_cast<uint32_t>(Below(part.tasks));
      if (Below(8) == 0) part.required = static_cast<Level>(Below(3));
      if (Below(3) == 0) part.remote = {.waits_per_s = 500, .budget_ppm = 50'000};
      if (part.request.share > 100 && Below(3) == 0) part.least_share = part.request.share / 2;
      gang.parts.push_back(part);
    }
    if (!workload_.Add(std::move(gang)).ok()) counts_.faults.push_back("a good gang was refused");
  }

  std::optional<GangId> Any() {
    if (workload_.active().empty()) return std::nullopt;
    return workload_.active()[Below(workload_.active().size())];
  }

  // As when a machine dies: what was on it waits again.
  void Fail(NodeId node, CardSet cards, bool open) {
    snapshot_.SetHealth(node, open, snapshot_.usable(node) & ~cards);
    for (const GangId id : std::vector<GangId>(workload_.active())) {
      bool hit = false;
      workload_.ForEachTask(id, [&](JobId job) {
        if (!snapshot_.placed(job)) return;
        const Placement place = snapshot_.placement(job);
        hit = hit || (place.node == node && (!open || (place.cards & cards) != 0)) ||
              (place.host == node && !open);
      });
      if (hit) workload_.Requeue(id);
    }
  }

  void Resize() {
    const std::optional<GangId> id = Any();
    if (!id) return;
    workload_.ForEachTask(*id, [&](JobId job) {
      const Milli asked = workload_.asked(job).share;
      if (!snapshot_.placed(job) || asked < 2) return;
      // More than there is must be refused, and then change nothing; the count below would tell.
      (void)snapshot_.Resize(job, 1 + static_cast<Milli>(Below(static_cast<uint64_t>(asked))));
    });
  }

  void Idle() {
    const std::optional<GangId> id = Any();
    if (!id) return;
    workload_.ForEachTask(*id, [&](JobId job) { workload_.SetIdle(job, Below(2) == 0); });
  }

  void Happen() {
    const NodeId node = static_cast<NodeId>(Below(kNodes));
    switch (Below(17)) {
      case 0:
        return Fail(node, 0, /*open=*/false);
      case 1:
        return Fail(node, CardSet{1} << Below(snapshot_.cards(node)), snapshot_.open(node));
      case 2:
      case 3:
        return snapshot_.SetHealth(node, true, ~CardSet{0});
      case 4: {
        const QueueId queue = 1 + static_cast<QueueId>(Below(kQueues - 1));
        (void)snapshot_.mutable_queues()->Change(queue, RandomQueue(kRoot));
        return;
      }
      case 5:
        return Resize();
      case 9:
        return Idle();
      case 6:
      case 7:
      case 8:
        if (const std::optional<GangId> id = Any()) workload_.Leave(*id);
        return;
      default:
        return Arrive();
    }
  }

  // Decisions that are taken back leave no trace.
  void TryAndUndo(Session* session) {
    const Snapshot before = snapshot_;
    const Session::Point point = session->Checkpoint();
    for (int i = 0; i < 4; ++i) {
      const std::optional<GangId> id = Any();
      if (!id) return;
      if (workload_.Running(*id)) {
        session->Evict(*id, *id);
      } else {
        PlaceGang(session, *id);
      }
    }
    session->Rollback(point);
    ++counts_.undone;
    if (!snapshot_.SameState(before)) Fault("undo left something behind");
  }

  // Where nothing happens, soon nobody is evicted any more: no two take each other's place in
  // turns.
  void Rest() {
    for (int i = 0; i < 30; ++i) {
      now_s_ += 30;
      const uint64_t before = counts_.evictions;
      Round();
      if (counts_.evictions == before) return;
    }
    Fault("left alone it does not come to rest");
  }

  void Round() {
    history_.Advance(snapshot_.queues(), 1, now_s_);
    std::vector<Amounts> used, firm;
    for (QueueId id = 0; id < snapshot_.queues().size(); ++id) {
      used.push_back(snapshot_.queues().used(id));
      firm.push_back(snapshot_.queues().firm(id));
    }
    {
      Session session(&snapshot_, &workload_, placer_.get(), &history_, options_, now_s_);
      if (Below(4) == 0) TryAndUndo(&session);
      RunCycle(&session);
      for (const Decision& decision : session.decisions()) Note(decision);
      CountMoves(session);
      counts_.heads += watch_.Look(&session, counts_.rounds, [this](GangId id, const char* what) {
        Fault("gang " + std::to_string(id) + what);
      });
    }
    ++counts_.rounds;
    CountCards();
    CountQueues(used, firm);
    CountGangs();
  }

  void Note(const Decision& decision) {
    for (const uint64_t value :
         {uint64_t{static_cast<uint8_t>(decision.act)}, uint64_t{decision.job},
          uint64_t{decision.place.node}, decision.place.cards,
          static_cast<uint64_t>(decision.share), uint64_t{decision.cause}}) {
      counts_.digest = (counts_.digest ^ value) * 1099511628211u;
    }
    counts_.starts += decision.act == Act::kStart;
    counts_.evictions += decision.act == Act::kEvict;
    counts_.moves += decision.act == Act::kMove;
    counts_.shrinks += decision.act == Act::kDegrade || decision.act == Act::kSuspend;
  }

  // Moves for nobody in particular: few, each of another single task, of nobody who would lose
  // work.
  void CountMoves(const Session& session) {
    std::map<JobId, int> touched;
    uint32_t moves = 0;
    for (const Decision& decision : session.decisions()) {
      ++touched[decision.job];
      const GangId id = workload_.gang(decision.job);
      if (decision.act != Act::kMove || decision.cause != id) continue;
      ++moves;
      const bool firm = !workload_[id].preemptible && !workload_[id].checkpointable;
      if (firm || (!workload_[id].checkpointable && !workload_.idle(decision.job))) {
        Fault("a busy job lost its work for nobody");
      }
      if (touched[decision.job] > 1) Fault("a job that this round touched was moved for nobody");
      if (workload_[id].parts[0].tasks > 1) Fault("one of several tasks was moved for nobody");
    }
    counts_.tidied += moves;
    if (moves > options_.defragment_moves) Fault("too many moves for nobody");
  }

  void Fault(const std::string& what) {
    counts_.faults.push_back("round " + std::to_string(counts_.rounds) + ": " + what);
  }

  // Nothing is promised twice, and nothing on what has failed.
  void CountCards() {
    std::vector<std::vector<int64_t>> share(kNodes), memory(kNodes);
    std::vector<int64_t> cpu(kNodes), host_memory(kNodes);
    for (NodeId node = 0; node < kNodes; ++node) {
      share[node].resize(snapshot_.cards(node));
      memory[node].resize(snapshot_.cards(node));
    }
    for (const GangId id : workload_.active()) {
      workload_.ForEachTask(id, [&](JobId job) {
        if (!snapshot_.placed(job)) return;
        const Placement place = snapshot_.placement(job);
        const Request& request = snapshot_.request(job);
        const bool remote = place.host != kSameNode;
        const NodeId host = remote ? place.host : place.node;
        cpu[host] += request.cpu_milli;
        host_memory[host] += request.memory_mib;
        if (remote) cpu[place.node] += kRemoteServerCpu;
        if (remote && workload_.part(job).remote.budget_ppm == 0) Fault("remote unasked");
        uint32_t cards = 0;
        for (uint32_t i = 0; i < snapshot_.cards(place.node); ++i) {
          if ((place.cards >> i & 1) == 0) continue;
          ++cards;
          share[place.node][i] += request.share;
          memory[place.node][i] += request.card_memory_mib;
        }
        if (cards != request.cards) Fault("a task has not as many cards as it asked for");
        if (!snapshot_.open(place.node) || !snapshot_.open(host) ||
            (place.cards & ~snapshot_.usable(place.node)) != 0) {
          Fault("a task is on what has failed");
        }
        if (request.cards > 0 && (request.models >> snapshot_.model(place.node) & 1) == 0) {
          Fault("a task is on a model that it does not take");
        }
      });
    }
    for (NodeId node = 0; node < kNodes; ++node) {
      const Node& whole = snapshot_.empty(node);
      if (cpu[node] > whole.cpu_milli) Fault("more CPU than there is");
      if (host_memory[node] > whole.memory_mib) Fault("more memory than there is");
      for (uint32_t i = 0; i < snapshot_.cards(node); ++i) {
        if (share[node][i] > kWholeCard) Fault("more share than a card has");
        if (memory[node][i] > whole.card_memory_mib) Fault("more card memory than there is");
        if (snapshot_.shares(node)[i] != kWholeCard - share[node][i]) Fault("a share was lost");
      }
    }
  }

  // A quota that was lowered below what is held may stay exceeded, but not by more than before.
  void CountQueues(const std::vector<Amounts>& used_before,
                   const std::vector<Amounts>& firm_before) {
    const Queues& queues = snapshot_.queues();
    std::vector<Amounts> used(queues.size()), firm(queues.size());
    for (const GangId id : workload_.active()) {
      const Gang& gang = workload_[id];
      workload_.ForEachTask(id, [&](JobId job) {
        if (!snapshot_.placed(job)) return;
        const Amounts amounts = DemandOf(snapshot_.request(job));
        for (QueueId queue = gang.queue;; queue = queues.parent(queue)) {
          for (size_t i = 0; i < amounts.size(); ++i) {
            used[queue][i] += amounts[i];
            if (!gang.preemptible) firm[queue][i] += amounts[i];
          }
          if (queue == kRoot) break;
        }
      });
    }
    for (QueueId id = 0; id < queues.size(); ++id) {
      if (used[id] != queues.used(id) || firm[id] != queues.firm(id)) Fault("a use was miscounted");
      for (size_t i = 0; i < used[id].size(); ++i) {
        if (used[id][i] > std::max(queues[id].limit[i], used_before[id][i])) {
          Fault("queue " + std::to_string(id) + " is above its limit");
        }
        if (firm[id][i] > std::max(queues[id].quota[i], firm_before[id][i])) {
          Fault("queue " + std::to_string(id) + " has lent what it cannot take back");
        }
      }
    }
  }

  // A gang runs with its minimum or holds nothing.
  void CountGangs() {
    for (const GangId id : workload_.active()) {
      bool any = false;
      workload_.ForEachTask(id, [&](JobId job) { any = any || snapshot_.placed(job); });
      if (any && !workload_.Running(id)) Fault("gang " + std::to_string(id) + " runs in part");
    }
  }

  std::mt19937_64 lots_;
  Options options_;
  Snapshot snapshot_;
  Workload workload_;
  UsageHistory history_;
  std::vector<Request> seen_;
  std::vector<TypicalJob> typical_;
  std::optional<Fragmentation> fragmentation_;
  Interference pairs_;
  RemoteLinks links_ = {.rack = {.round_trip_ns = 5'000}, .block = {}, .anywhere = {}};
  std::unique_ptr<Placer> placer_;
  int64_t now_s_ = 1;
  ReservationWatch watch_{&workload_, &options_};
  Counts counts_;
};

}  // namespace
}  // namespace flexai::schedule

using flexai::schedule::Counts;

int main(int argc, char** argv) {
  const uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000;
  std::vector<uint64_t> seeds;
  for (int i = 2; i < argc; ++i) seeds.push_back(std::strtoull(argv[i], nullptr, 10));
  if (seeds.empty()) seeds = {1, 2, 3};
  int faults = 0;
  for (const uint64_t seed : seeds) {
    const Counts first = flexai::schedule::World(seed).Play(events);
    const Counts second = flexai::schedule::World(seed).Play(events);
    std::printf("seed %lu: %lu rounds, %lu starts, %lu evictions, %lu moves, ", seed, first.rounds,
                first.starts, first.evictions, first.moves);
    std::printf("%lu of them by the timer, ", first.tidied);
    std::printf("%lu shares lowered, %lu undone, ", first.shrinks, first.undone);
    std::printf("%lu looks at reservations\n", first.heads);
    for (const std::string& fault : first.faults) std::printf("  %s\n", fault.c_str());
    faults += static_cast<int>(first.faults.size());
    if (first.digest != second.digest) {
      std::printf("  two runs decided differently\n");
      ++faults;
    }
    std::fflush(stdout);
  }
  if (faults == 0) std::printf("0 faults, 0 differences\n");
  return faults > 0 ? 1 : 0;
}
