// Packing: cards in use first, then idle cards of nodes in use, then idle nodes. To jobs without
// cards all nodes are equal.
#include <algorithm>
#include <bit>

#include "flexai/schedule/cards.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"

namespace flexai::schedule {
namespace {

class Packing : public Scorer {
 public:
  explicit Packing(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  Choice Judge(NodeId node, const Request& request) override {
    if (request.cards == 0) return {};
    const CardSet cards = TightestCards(snapshot_, node, request);
    return {Score(node, cards), cards};
  }

 private:
  int32_t Score(NodeId node, CardSet cards) const {
    const auto all = static_cast<int32_t>(snapshot_.cards(node));
    if (snapshot_.idle_cards(node) == snapshot_.cards(node)) return std::max(33 - all, all);
    const std::span<const Milli> shares = snapshot_.shares(node);
    int32_t idle_taken = 0, percent_left = 0;
    for (uint32_t i = 0; i < shares.size(); ++i) {
      if ((cards >> i & 1) == 0) continue;
      idle_taken += shares[i] == kWholeCard;
      percent_left += shares[i] * 100 / kWholeCard;
    }
    if (idle_taken > 0) return std::max(50 - idle_taken, 33);
    return std::max(100 - percent_left / 10, 50);
  }

  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Placer> MakePacking(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<Packing>(input));
}

}  // namespace flexai::schedule
