// Any node that fits, each with equal chance; of its cards, any that fit.
#include <bit>

#include "flexai/schedule/cards.h"
#include "flexai/schedule/dice.h"
#include "flexai/schedule/policies/policies.h"

namespace flexai::schedule {
namespace {

class RandomPlacer : public Placer {
 public:
  explicit RandomPlacer(const PolicyInput& input) : snapshot_(input.snapshot), dice_(input.seed) {}

  std::optional<Placement> FindFor(const Request& request, const Bonds&,
                                   std::span<const NodeId> nodes) override {
    std::optional<Placement> drawn;
    uint32_t fitting = 0;
    const size_t count = nodes.empty() ? snapshot_->nodes() : nodes.size();
    for (size_t i = 0; i < count; ++i) {
      const NodeId node = nodes.empty() ? static_cast<NodeId>(i) : nodes[i];
      if (snapshot_->Fits(node, request) && dice_.Below(++fitting) == 0) drawn = Placement{node, 0};
    }
    if (drawn) drawn->cards = DrawCards(drawn->node, request);
    return drawn;
  }

 private:
  CardSet DrawCards(NodeId node, const Request& request) {
    if (!IsPart(request)) return TightestCards(*snapshot_, node, request);
    CardSet drawn = 0;
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < snapshot_->cards(node); ++i) {
      if (snapshot_->CardFits(node, i, request) && dice_.Below(++fitting) == 0) {
        drawn = CardSet{1} << i;
      }
    }
    return drawn;
  }

  const Snapshot* snapshot_;
  Dice dice_;
};

}  // namespace

std::unique_ptr<Placer> MakeRandom(const PolicyInput& input) {
  return std::make_unique<RandomPlacer>(input);
}

}  // namespace flexai::schedule
