#include "flexai/backend/opencl/card_clock.h"

#include <time.h>

namespace flexai::backend::opencl {
namespace {

// A driver's moments are not older than this when a program first asks for one.
constexpr Nanos kRecent = 60 * kSecond;

Nanos Now(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

// Drivers do not say which of the host's clocks they read. Moments of the past that lie nearest to
// the present tell: the clocks are far apart, or so near that it does not matter.
uint64_t CardClock::FromDriver(uint64_t moment) {
  static constexpr clockid_t kIds[kClocks] = {CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC, CLOCK_REALTIME};
  Nanos best = kRecent;
  Nanos age = -1;
  for (int i = 0; i < kClocks; ++i) {
    const Nanos now = Now(kIds[i]) - static_cast<Nanos>(moment);
    Nanos nearest = nearest_[i].load(std::memory_order_relaxed);
    while (now >= 0 && now < nearest &&
           !nearest_[i].compare_exchange_weak(nearest, now, std::memory_order_relaxed)) {
    }
    if (now >= 0) nearest = nearest_[i].load(std::memory_order_relaxed);
    if (nearest >= best) continue;
    best = nearest;
    age = now;
  }
  if (age < 0) return moment;
  return moment - static_cast<uint64_t>(hold_times_.HeldUntil(MonotonicNow() - age));
}

}  // namespace flexai::backend::opencl
