// Time as a value. Decisions take the time as a parameter; only apps and in-process edges read a
// clock.
#pragma once

#include <time.h>

#include <cstdint>

namespace flexai {

/// Nanoseconds, of a duration or of a clock that does not jump.
using Nanos = int64_t;

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

/// CLOCK_MONOTONIC, the clock that daemon and tenants share on one host.
inline Nanos MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Nanos>(now.tv_sec) * kSecond + now.tv_nsec;
}

}  // namespace flexai
