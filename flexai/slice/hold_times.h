// When a process was held, so that a moment of the host's clock can be told as one of the slice's
// own card, which stands still while the slice is out of turn. What a program reads about its
// kernels' times is then what the card spent on them: programs that tune themselves by it do as
// well in a slice as alone.
#pragma once

#include <atomic>
#include <cstdint>

#include "flexai/base/clock.h"

namespace flexai::slice {

class HoldTimes {
 public:
  /// Thread: Begin and End are for one thread, in turns, with times that do not go backwards.
  void Begin(Nanos now);
  void End(Nanos now);

  /// For how long the process had been held by `moment`. What is older than kKept holds counts as a
  /// whole. Thread: any; takes no lock.
  Nanos HeldUntil(Nanos moment) const;

  static constexpr uint64_t kKept = 1024;

 private:
  struct Hold {
    std::atomic<Nanos> begin{0};
    std::atomic<Nanos> end{0};
    std::atomic<Nanos> before{0};  // length of all holds before this one
  };

  Nanos Search(uint64_t count, Nanos moment) const;

  std::atomic<uint64_t> count_{0};
  Hold holds_[kKept];
};

}  // namespace flexai::slice
