#include "flexai/schedule/cards.h"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>

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

CardSet FittingCards(const Snapshot& snapshot, NodeId node, const Request& request, bool alike) {
  const std::span<const Milli> shares = snapshot.shares(node);
  CardSet fitting = 0;
  for (uint32_t i = 0; i < shares.size(); ++i) {
    if (!snapshot.CardFits(node, i, request)) continue;
    bool seen = false;
    for (CardSet left = alike ? fitting : 0; left != 0 && !seen; left &= left - 1) {
      seen = shares[static_cast<size_t>(std::countr_zero(left))] == shares[i];
    }
    if (!seen) fitting |= CardSet{1} << i;
  }
  return fitting;
}

namespace {

// Cards one by one, each the nearest to those before, beginning with the tightest of the group.
CardSet Grow(const Board& board, std::span<const Milli> shares, CardSet fitting, CardSet group,
             uint32_t wanted) {
  std::array<uint32_t, kMostCards> distance{};
  CardSet taken = 0;
  for (; wanted > 0; --wanted) {
    std::tuple<bool, uint32_t, Milli, uint32_t> best{true, UINT32_MAX, 0, kMostCards};
    for (CardSet left = fitting & ~taken; left != 0; left &= left - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(left));
      best = std::min(best, {(group >> i & 1) == 0, distance[i], shares[i], i});
    }
    const uint32_t next = std::get<3>(best);
    taken |= CardSet{1} << next;
    if (wanted == 1) break;
    for (uint32_t i = 0; i < shares.size(); ++i) distance[i] += board.Distance(i, next);
  }
  return taken;
}

}  // namespace

void NearCards(const Snapshot& snapshot, NodeId node, const Request& request,
               std::vector<CardSet>* sets) {
  const Board& board = snapshot.board(node);
  if (!board.known() || request.cards == 0) return;
  CardSet fitting = 0;
  for (uint32_t i = 0; i < snapshot.cards(node); ++i) {
    fitting |= static_cast<CardSet>(snapshot.CardFits(node, i, request)) << i;
  }
  if (static_cast<uint32_t>(std::popcount(fitting)) <= request.cards) return;  // no choice
  for (const std::vector<CardSet>* groups : {&board.linked(), &board.numa()}) {
    for (const CardSet group : *groups) {
      if ((group & fitting) == 0) continue;
      const CardSet set = Grow(board, snapshot.shares(node), fitting, group, request.cards);
      if (std::find(sets->begin(), sets->end(), set) == sets->end()) sets->push_back(set);
    }
  }
}

}  // namespace flexai::schedule
