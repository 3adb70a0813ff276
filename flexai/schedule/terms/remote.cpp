// A job whose cards are on another node loses the more speed the farther they are: round trips that
// it waits for, and bytes on the link. So its CPU is drawn to nodes near its cards.
#include <algorithm>

#include "flexai/schedule/terms.h"
#include "flexai/schedule/terms/zones.h"

namespace flexai::schedule {
namespace {

class RemoteCost : public Pull {
 public:
  explicit RemoteCost(const PolicyInput& input)
      : snapshot_(*input.snapshot), links_(*input.links) {}

  void Gains(const Request&, const Bonds& bonds, std::vector<Gain>* gains) override {
    if (bonds.remote == nullptr) return;
    if (nodes_ != snapshot_.nodes()) {
      nodes_ = snapshot_.nodes();
      racks_.emplace(snapshot_, &Node::rack);
      blocks_.emplace(snapshot_, &Node::block);
    }
    const RemoteBond& bond = *bonds.remote;
    const int64_t rack = RemoteSlowdown(bond.use, links_.rack);
    const int64_t block = RemoteSlowdown(bond.use, links_.block);
    const int64_t anywhere = RemoteSlowdown(bond.use, links_.anywhere);
    // Less is lost in the block than outside of it, and less in the rack than in the block.
    Add(*blocks_, bond, anywhere - block, gains);
    Add(*racks_, bond, block - rack, gains);
  }

 private:
  static void Add(const Zones& zones, const RemoteBond& bond, int64_t gain_ppm,
                  std::vector<Gain>* gains) {
    if (gain_ppm <= 0) return;
    const int64_t gain = bond.demand * gain_ppm / 1000;
    for (const NodeId node : zones.nodes(zones.Of(bond.cards))) gains->push_back({node, gain});
  }

  const Snapshot& snapshot_;
  const RemoteLinks& links_;
  NodeId nodes_ = 0;  // that racks_ and blocks_ know
  std::optional<Zones> racks_, blocks_;
};

}  // namespace

std::unique_ptr<Pull> RemotePull(const PolicyInput& input) {
  if (input.links == nullptr) return nullptr;
  return std::make_unique<RemoteCost>(input);
}

}  // namespace flexai::schedule
