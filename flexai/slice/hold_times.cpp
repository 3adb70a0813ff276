#include "flexai/slice/hold_times.h"

#include <algorithm>
#include <limits>

namespace flexai::slice {

void HoldTimes::Begin(Nanos now) {
  const uint64_t count = count_.load(std::memory_order_relaxed);
  Nanos before = 0;
  if (count > 0) {
    const Hold& last = holds_[(count - 1) % kKept];
    before = last.before.load(std::memory_order_relaxed) +
             last.end.load(std::memory_order_relaxed) - last.begin.load(std::memory_order_relaxed);
  }
  Hold& hold = holds_[count % kKept];
  hold.begin.store(now, std::memory_order_relaxed);
  hold.end.store(std::numeric_limits<Nanos>::max(), std::memory_order_relaxed);
  hold.before.store(before, std::memory_order_relaxed);
  count_.store(count + 1, std::memory_order_release);
}

void HoldTimes::End(Nanos now) {
  const uint64_t count = count_.load(std::memory_order_relaxed);
  if (count > 0) holds_[(count - 1) % kKept].end.store(now, std::memory_order_release);
}

Nanos HoldTimes::HeldUntil(Nanos moment) const {
  for (;;) {
    const uint64_t count = count_.load(std::memory_order_acquire);
    const Nanos held = Search(count, moment);
    // A hold that began meanwhile has taken the oldest one's place, which Search leaves out.
    if (count_.load(std::memory_order_relaxed) - count <= 1) return held;
  }
}

Nanos HoldTimes::Search(uint64_t count, Nanos moment) const {
  const uint64_t oldest = count >= kKept ? count - kKept + 2 : 0;
  Nanos before = 0;
  for (uint64_t i = count; i-- > oldest;) {
    const Hold& hold = holds_[i % kKept];
    const Nanos begin = hold.begin.load(std::memory_order_acquire);
    before = hold.before.load(std::memory_order_acquire);
    if (begin <= moment) {
      return before + std::min(moment, hold.end.load(std::memory_order_acquire)) - begin;
    }
  }
  return before;
}

}  // namespace flexai::slice
