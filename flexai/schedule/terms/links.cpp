// Cards of one task talk to each other: where their links are slow, it loses speed. And a group of
// linked cards that nobody uses is left whole for those who will want it.
#include <bit>

#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Of a task's speed, where its cards are on one NUMA node but not linked; twice that where they are
// not even there. Assumed, not measured.
constexpr int64_t kUnlinkedPermille = 50;
// For each card left of a group that was whole. Less than a step of the policy for all of a node:
// it decides between cards, hardly between nodes.
constexpr int64_t kBrokenPermille = 5;

class Links : public Term {
 public:
  explicit Links(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    const Board& board = snapshot_.board(node);
    if (board.linked().empty()) return 0;
    return OfPairs(board, request, cards) + OfGroups(board, node, cards);
  }

 private:
  static int64_t OfPairs(const Board& board, const Request& request, CardSet cards) {
    int64_t far = 0, pairs = 0;
    for (; cards != 0; cards &= cards - 1) {
      const auto one = static_cast<uint32_t>(std::countr_zero(cards));
      for (CardSet rest = cards & (cards - 1); rest != 0; rest &= rest - 1) {
        far += board.Distance(one, static_cast<uint32_t>(std::countr_zero(rest)));
        ++pairs;
      }
    }
    return pairs == 0 ? 0 : CardDemand(request) * kUnlinkedPermille * far / pairs;
  }

  int64_t OfGroups(const Board& board, NodeId node, CardSet cards) const {
    CardSet idle = 0;
    const std::span<const Milli> shares = snapshot_.shares(node);
    for (uint32_t i = 0; i < shares.size(); ++i) {
      idle |= static_cast<CardSet>(shares[i] == kWholeCard) << i;
    }
    int64_t left = 0;
    for (const CardSet group : board.linked()) {
      if ((group & cards) != 0 && (group & ~idle) == 0) left += std::popcount(group & ~cards);
    }
    return left * kBrokenPermille * kWholeCard;
  }

  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Term> LinkTerm(const PolicyInput& input) { return std::make_unique<Links>(input); }

}  // namespace flexai::schedule
