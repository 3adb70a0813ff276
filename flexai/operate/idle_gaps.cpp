#include "flexai/operate/idle_gaps.h"

#include <bit>

namespace flexai::operate {

// Looks come at their own times, so a gap is known to be short if it ended within that time after
// it began, and long if it was still open then. What lies between is no knowledge.
void IdleGaps::Look(Nanos now, bool queued, Nanos emptied_at) {
  if (open_ && (queued || emptied_at != began_)) {
    // Its end lies before this look, and before the next gap if there was one.
    const Nanos ended_by = emptied_at == began_ ? now : emptied_at;
    if (looked_at_ - began_ >= kShort) {
      Add(/*is_short=*/false);
    } else if (ended_by - began_ < kShort) {
      Add(/*is_short=*/true);
    }
    open_ = false;
  }
  if (emptied_at != began_) {
    // Several may have come and gone between two looks; the last one speaks for them.
    began_ = emptied_at;
    if (queued && now - began_ < kShort) Add(/*is_short=*/true);
    open_ = !queued;
  }
  looked_at_ = now;
}

Nanos IdleGaps::grace() const {
  if (known_ < kKept / 2) return kUnknown;
  return 2 * std::popcount(short_) > known_ ? kShort : kAtOnce;
}

void IdleGaps::Add(bool is_short) {
  short_ = ((short_ << 1) | (is_short ? 1 : 0)) & ((1u << kKept) - 1);
  if (known_ < kKept) ++known_;
}

}  // namespace flexai::operate
