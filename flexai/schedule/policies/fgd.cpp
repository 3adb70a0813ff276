// FGD: the node whose fragments grow least, by the published score: a logistic curve over the
// growth, cut to whole numbers from 0 to 100. Of equal cards the first, of equal nodes the first.
#include <algorithm>
#include <array>
#include <cmath>

#include "flexai/schedule/cards.h"
#include "flexai/schedule/fragment_memory.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"

namespace flexai::schedule {
namespace {

class Fgd : public Scorer {
 public:
  explicit Fgd(const PolicyInput& input)
      : snapshot_(*input.snapshot), memory_(input.snapshot, input.fragmentation) {
    // Score s needs a gain of at least 1000 ln(s / (100 - s)) milli-cards.
    const auto scale = 1000.0 * static_cast<double>(input.fragmentation->weight());
    for (int score = 1; score < 100; ++score) {
      gains_[static_cast<size_t>(score - 1)] =
          static_cast<int64_t>(std::ceil(scale * std::log(score / (100.0 - score))));
    }
  }

  Choice Judge(NodeId node, const Request& request) override {
    if (!IsPart(request)) {
      const CardSet cards = TightestCards(snapshot_, node, request);
      return {ScoreOf(node, request, cards), cards};
    }
    Choice best;
    const bool alike = request.card_memory_mib == 0;
    for (CardSet left = FittingCards(snapshot_, node, request, alike); left != 0;
         left &= left - 1) {
      const CardSet card = left & -left;
      const int32_t score = ScoreOf(node, request, card);
      if (best.cards == 0 || score > best.score) best = {score, card};
    }
    return best;
  }

 private:
  int32_t ScoreOf(NodeId node, const Request& request, CardSet cards) {
    const int64_t gain = -memory_.Growth(node, request, cards);
    return static_cast<int32_t>(std::upper_bound(gains_.begin(), gains_.end(), gain) -
                                gains_.begin());
  }

  const Snapshot& snapshot_;
  FragmentMemory memory_;
  std::array<int64_t, 99> gains_;
};

}  // namespace

std::unique_ptr<Placer> MakeFgd(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<Fgd>(input));
}

}  // namespace flexai::schedule
