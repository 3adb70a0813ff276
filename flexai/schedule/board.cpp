#include "flexai/schedule/board.h"

#include <utility>

namespace flexai::schedule {

Result<Board> Board::Make(std::vector<CardSet> numa, std::vector<CardSet> linked) {
  Board board;
  board.near_.resize(kMostCards);
  board.same_numa_.resize(kMostCards);
  CardSet seen = 0;
  for (const CardSet cards : numa) {
    if (cards == 0 || (seen & cards) != 0) {
      return Status(Code::kInvalidArgument, "a NUMA node without cards, or a card on two of them");
    }
    seen |= cards;
  }
  board.all_ = seen;
  for (const CardSet cards : linked) {
    if (cards == 0) return Status(Code::kInvalidArgument, "a group of linked cards without cards");
    board.all_ |= cards;
  }
  for (uint32_t card = 0; card < kMostCards; ++card) {
    board.near_[card] = board.same_numa_[card] = CardSet{1} << card;
    for (const CardSet cards : numa) {
      if ((cards >> card & 1) != 0) board.same_numa_[card] |= cards;
    }
    for (const CardSet cards : linked) {
      if ((cards >> card & 1) != 0) board.near_[card] |= cards;
    }
  }
  board.numa_ = std::move(numa);
  board.linked_ = std::move(linked);
  return board;
}

}  // namespace flexai::schedule
