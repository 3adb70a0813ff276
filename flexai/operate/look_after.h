// How soon the daemon looks at its tenants again. Each look takes a core, and with real-time rights
// it takes it from whoever computes there, so nobody is looked at more often than others can gain.
#pragma once

#include <algorithm>
#include <vector>

#include "flexai/base/clock.h"

namespace flexai::operate {

// Each look at a tenant that does not tell takes the driver's workers off a core for a moment.
inline constexpr Nanos kBusyTick = 2 * kMillisecond;
inline constexpr Nanos kToldTick = 250 * kMicrosecond;  // where a look is a few loads
// Beside one that may come back and goes first, every part of a millisecond is its delay.
inline constexpr Nanos kPromptTick = 50 * kMicrosecond;
inline constexpr Nanos kAloneTick = 10 * kMillisecond;
inline constexpr Nanos kRestTick = 4 * kMillisecond;
inline constexpr Nanos kEmptyTick = kSecond;

/// What of a tenant matters for that.
struct Looked {
  bool busy;
  bool paused;
  bool tells;  // by its launches and waits, so that nothing has to be measured
  bool below;  // another may come back and go first
};

/// Units: ns from now.
inline Nanos LookAfter(const std::vector<Looked>& tenants) {
  if (tenants.empty()) return kEmptyTick;
  // Who is paused comes back by a request, which is heard at once.
  const auto compete =
      std::count_if(tenants.begin(), tenants.end(), [](const Looked& t) { return !t.paused; });
  Nanos after = kRestTick;
  for (const Looked& tenant : tenants) {
    if (!tenant.busy || tenant.paused) continue;
    if (compete == 1) return kAloneTick;
    const Nanos told = tenant.below ? kPromptTick : kToldTick;
    after = std::min(after, tenant.tells ? told : kBusyTick);
  }
  return after;
}

}  // namespace flexai::operate
