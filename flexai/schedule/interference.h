// Which jobs disturb each other on one card: declared for pairs of loads, because no share tells
// it.
#pragma once

#include <array>

#include "flexai/schedule/request.h"

namespace flexai::schedule {

class Interference {
 public:
  /// Jobs of load `of` lose this part of their speed while one of load `beside` runs on their card.
  /// Units: 1/1000. Shape: both below kMostLoads; of load 0 nothing is known.
  void Declare(LoadId of, LoadId beside, Milli lost) {
    lost_[of][beside] = lost;
    any_ = any_ || lost > 0;
  }
  Milli Lost(LoadId of, LoadId beside) const { return lost_[of][beside]; }
  bool any() const { return any_; }

 private:
  std::array<std::array<Milli, kMostLoads>, kMostLoads> lost_{};
  bool any_ = false;
};

}  // namespace flexai::schedule
