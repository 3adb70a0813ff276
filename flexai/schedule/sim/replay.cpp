#include "flexai/schedule/sim/replay.h"

#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/moves.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/sim/arrivals.h"

namespace flexai::schedule::sim {
namespace {

constexpr size_t kFirstLesson = 64;  // pods that have come when typical ones are first learnt

double Fragmented(const Snapshot& snapshot, const Fragmentation& fragmentation) {
  int64_t sum = 0;
  for (NodeId node = 0; node < snapshot.nodes(); ++node) {
    sum += fragmentation.OfNode(snapshot, node);
  }
  return static_cast<double>(sum) / static_cast<double>(fragmentation.weight());
}

// Adds the nodes and tells how much their cards are together. Units: milli-cards.
Result<int64_t> AddNodes(std::span<const Node> nodes, Snapshot* snapshot) {
  int64_t capacity = 0;
  for (const Node& node : nodes) {
    const Result<NodeId> added = snapshot->AddNode(node);
    if (!added.ok()) return added.status();
    capacity += static_cast<int64_t>(node.cards) * kWholeCard;
  }
  return capacity;
}

RemoteUse RemoteUseOf(const Request& request) {
  RemoteUse use = kRemoteUsePerCard;
  use.waits_per_s = use.waits_per_s * CardDemand(request) / kWholeCard;
  use.bytes_per_s = use.bytes_per_s * CardDemand(request) / kWholeCard;
  return use;
}

// One pod after the other comes to the cluster.
class Cluster {
 public:
  Cluster(const ReplayInput& input, Snapshot* snapshot, ReplayResult* result)
      : input_(input), snapshot_(snapshot), result_(result) {}

  // From now on these jobs are typical. Errors: as MakePlacer.
  Status Expect(std::vector<TypicalJob> typical) {
    placer_.reset();  // it looks at what follows
    typical_ = std::move(typical);
    fragmentation_.emplace(typical_);
    auto placer = MakePlacer(input_.policy, {snapshot_, &*fragmentation_, typical_, input_.seed});
    if (!placer.ok()) return placer.status();
    placer_ = *std::move(placer);
    return Status();
  }

  // Whether the pod was placed, if need be by a move or remotely; a Status only where the policy is
  // wrong.
  Result<bool> Arrive(const Request& request) {
    if (input_.learn) FLEXAI_RETURN_IF_ERROR(Learn(request));
    if (const std::optional<Placement> place = placer_->Find(request)) {
      return Placed(snapshot_->Place(snapshot_->AddJob(request), *place));
    }
    if (result_->moves < input_.moves) {
      if (const auto move = PlanMove(*snapshot_, *fragmentation_, placer_.get(), request)) {
        ++result_->moves;
        return Placed(CarryOut(*move, snapshot_->AddJob(request), snapshot_));
      }
    }
    if (input_.remote) {
      if (const auto plan =
              PlanRemote(*snapshot_, placer_.get(), request, RemoteUseOf(request), kRemoteLinks)) {
        ++result_->remote;
        return Placed(CarryOut(*plan, request, snapshot_));
      }
    }
    return false;
  }

 private:
  // Looks again at who came each time when their number has doubled.
  Status Learn(const Request& request) {
    seen_.push_back(request);
    if (seen_.size() < learn_at_) return Status();
    learn_at_ *= 2;
    return Expect(TypicalJobs(seen_));
  }

  static Result<bool> Placed(const Status& status) {
    if (!status.ok()) return Status(Code::kInternal, std::string(status.message()));
    return true;
  }

  const ReplayInput& input_;
  Snapshot* snapshot_;
  ReplayResult* result_;
  std::vector<Request> seen_;
  size_t learn_at_ = kFirstLesson;
  std::vector<TypicalJob> typical_;
  std::optional<Fragmentation> fragmentation_;
  std::unique_ptr<Placer> placer_;
};

}  // namespace

Result<ReplayResult> Replay(const ReplayInput& input) {
  Snapshot snapshot;
  const Result<int64_t> capacity = AddNodes(input.nodes, &snapshot);
  if (!capacity.ok()) return capacity.status();
  if (*capacity == 0 || input.pods.empty()) {
    return Status(Code::kInvalidArgument, "nothing to replay: the nodes have no cards, or no pods",
                  "give lists with at least one of each");
  }
  const std::vector<TypicalJob> typical = TypicalJobs(input.pods);
  const Fragmentation fragmentation(typical);
  const auto cards = static_cast<double>(*capacity);
  ReplayResult result;
  Cluster cluster(input, &snapshot, &result);
  FLEXAI_RETURN_IF_ERROR(cluster.Expect(input.learn ? std::vector<TypicalJob>() : typical));
  int64_t arrived = 0, allocated = 0;
  size_t mark = 0;
  const auto look = [&] {
    result.looks.push_back({input.marks[mark++], static_cast<double>(allocated) / cards,
                            Fragmented(snapshot, fragmentation) / cards});
  };
  const auto demand = static_cast<int64_t>(std::llround(input.arrival * cards));
  for (const uint32_t pod : DrawArrivals(input.pods, demand, input.seed)) {
    const Request& request = input.pods[pod];
    arrived += CardDemand(request);
    while (mark < input.marks.size() && static_cast<double>(arrived) > input.marks[mark] * cards) {
      look();
    }
    ++result.decisions;
    const Result<bool> placed = cluster.Arrive(request);
    if (!placed.ok()) return placed.status();
    if (!*placed) continue;
    ++result.placed;
    allocated += CardDemand(request);
  }
  while (mark < input.marks.size() && input.marks[mark] <= input.arrival) look();
  return result;
}

Spread SpreadOf(std::span<const double> values) {
  Spread spread;
  if (values.empty()) return spread;
  for (const double value : values) spread.mean += value;
  spread.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return spread;
  for (const double value : values) spread.stddev += (value - spread.mean) * (value - spread.mean);
  spread.stddev = std::sqrt(spread.stddev / static_cast<double>(values.size() - 1));
  return spread;
}

}  // namespace flexai::schedule::sim
