// How long a tenant whose queues have just become empty keeps the card. To give it on and take it
// back costs more than a short gap, so whether to wait is a guess: as its last gaps were. Pure:
// times come in as parameters.
#pragma once

#include <cstdint>

#include "flexai/base/clock.h"

namespace flexai::operate {

class IdleGaps {
 public:
  /// Gaps shorter than this are worth waiting for: about two hand-overs.
  static constexpr Nanos kShort = 600 * kMicrosecond;
  /// While too few gaps are known to tell.
  static constexpr Nanos kUnknown = 200 * kMicrosecond;
  /// Where gaps are long: what one look may be late.
  static constexpr Nanos kAtOnce = 20 * kMicrosecond;

  /// A look at the tenant. `queued`: it has work; `emptied_at`: when its queues last became empty.
  void Look(Nanos now, bool queued, Nanos emptied_at);
  /// How long after its queues became empty it is still taken for busy.
  Nanos grace() const;

 private:
  void Add(bool is_short);

  static constexpr int kKept = 8;
  uint32_t short_ = 0;  // a bit for each of the last gaps
  int known_ = 0;
  bool open_ = false;    // in a gap, as far as the last look saw
  Nanos began_ = -1;     // when the last gap seen began
  Nanos looked_at_ = 0;  // the last look at which the gap was open
};

}  // namespace flexai::operate
