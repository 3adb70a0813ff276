// Tasks of one gang talk to each other: few racks, and few blocks, are better than many. Where some
// are placed they draw the others; the first goes where the whole gang might have room.
#include <algorithm>
#include <map>

#include "flexai/schedule/terms.h"
#include "flexai/schedule/terms/zones.h"

namespace flexai::schedule {
namespace {

// Of a task's speed, where all others are in other racks of its block; as much again where they are
// in other blocks. Assumed, not measured.
constexpr int64_t kRackPermille = 50;
constexpr int64_t kBlockPermille = 50;
constexpr int64_t kLeastDemand = 100;  // of tasks with little or no card. Units: milli-cards

class Topology : public Pull {
 public:
  explicit Topology(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  void Gains(const Request& request, const Bonds& bonds, std::vector<Gain>* gains) override {
    const int64_t demand = std::max(CardDemand(request), kLeastDemand);
    if (bonds.others.empty() && bonds.to_come <= CardDemand(request)) return;
    if (nodes_ != snapshot_.nodes()) {
      nodes_ = snapshot_.nodes();
      racks_.emplace(snapshot_, &Node::rack);
      blocks_.emplace(snapshot_, &Node::block);
    }
    if (bonds.others.empty()) {
      AheadOf(bonds.to_come, demand, gains);
      return;
    }
    Join(*racks_, bonds.others, demand * kRackPermille, gains);
    Join(*blocks_, bonds.others, demand * kBlockPermille, gains);
  }

 private:
  void AheadOf(int64_t to_come, int64_t demand, std::vector<Gain>* gains) {
    const int64_t cards = (to_come + kWholeCard - 1) / kWholeCard;
    for (const auto& [zones, permille] :
         {std::pair{&*racks_, kRackPermille + kBlockPermille}, {&*blocks_, kBlockPermille}}) {
      if (zones->size() < 2) continue;
      const std::optional<size_t> zone = zones->Tightest(cards);
      if (!zone) continue;
      for (const NodeId node : zones->nodes(*zone)) gains->push_back({node, demand * permille});
      return;
    }
  }

  // A node gains by the part of the others that are in its zone.
  void Join(const Zones& zones, std::span<const NodeId> others, int64_t most,
            std::vector<Gain>* gains) {
    if (zones.size() < 2) return;
    std::map<size_t, int64_t> there;
    for (const NodeId other : others) ++there[zones.Of(other)];
    for (const auto& [zone, count] : there) {
      const int64_t gain = most * count / static_cast<int64_t>(others.size());
      for (const NodeId node : zones.nodes(zone)) gains->push_back({node, gain});
    }
  }

  const Snapshot& snapshot_;
  NodeId nodes_ = 0;  // that racks_ and blocks_ know
  std::optional<Zones> racks_, blocks_;
};

}  // namespace

std::unique_ptr<Pull> TopologyPull(const PolicyInput& input) {
  return std::make_unique<Topology>(input);
}

}  // namespace flexai::schedule
