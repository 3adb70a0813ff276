#include "flexai/schedule/cards.h"

namespace flexai::schedule {

CardSet TightestCards(const Snapshot& snapshot, NodeId node, const Request& request) {
  const std::span<const Milli> shares = snapshot.shares(node);
  CardSet taken = 0;
  for (uint32_t wanted = request.cards; wanted > 0; --wanted) {
    uint32_t best = kMostCards;
    for (uint32_t i = 0; i < shares.size(); ++i) {
      if ((taken >> i & 1) != 0 || !snapshot.CardFits(node, i, request)) continue;
      if (best == kMostCards || shares[i] < shares[best]) best = i;
    }
    if (best == kMostCards) break;
    taken |= CardSet{1} << best;
  }
  return taken;
}

}  // namespace flexai::schedule
