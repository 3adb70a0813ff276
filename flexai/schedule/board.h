// How the cards of one make of node lie to each other and to its CPUs.
#pragma once

#include <cstdint>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/request.h"

namespace flexai::schedule {

class Board {
 public:
  /// Nothing is known.
  Board() = default;
  /// `numa`: the cards of each NUMA node. `linked`: groups of cards with close links, which may
  /// overlap. Either may be empty: not known.
  /// Errors: kInvalidArgument (an empty set, a card on two NUMA nodes).
  static Result<Board> Make(std::vector<CardSet> numa, std::vector<CardSet> linked);

  const std::vector<CardSet>& numa() const { return numa_; }
  const std::vector<CardSet>& linked() const { return linked_; }
  bool known() const { return all_ != 0; }
  /// Every card that is named.
  CardSet all() const { return all_; }

  /// 0: closely linked; 1: on one NUMA node; 2: neither. Shape: cards below kMostCards.
  uint32_t Distance(uint32_t a, uint32_t b) const {
    if ((near_[a] >> b & 1) != 0) return 0;
    return (same_numa_[a] >> b & 1) != 0 ? 1 : 2;
  }

  bool operator==(const Board& other) const {
    return numa_ == other.numa_ && linked_ == other.linked_;
  }

 private:
  std::vector<CardSet> numa_, linked_;
  CardSet all_ = 0;
  // Of each card: itself and those near to it.
  std::vector<CardSet> near_, same_numa_;
};

}  // namespace flexai::schedule
