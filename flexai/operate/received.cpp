#include "flexai/operate/received.h"

#include <algorithm>
#include <utility>

namespace flexai::operate {
namespace {

// Closer samples than this are one, so that the ring spans more than a trace is late.
constexpr Nanos kSpacing = 500 * kMicrosecond;
// A record that comes late takes back what was counted in advance. More than that is a new count.
constexpr Nanos kMostTakenBack = 2 * kMillisecond;
// At most one in so many is given back of what was charged: one whose work the trace does not see,
// as copies, would have the card for nothing, and keep it.
constexpr Nanos kReturnedPart = 2;

}  // namespace

void Received::Charged(Nanos now, Nanos charged, Nanos rested, bool busy) {
  if (busy || count_ == 0) busy_at_ = now;
  if (now - busy_at_ > kLongRest) idle_at_ = now;
  const bool close = count_ >= 2 && now - Ago(1).now < kSpacing;
  if (!close) {
    next_ = (next_ + 1) % kSamples;
    count_ = std::min(count_ + 1, kSamples);
  }
  samples_[(next_ + kSamples - 1) % kSamples] = {now, charged, rested};
  if (waits_ && horizon_ <= now) Compare();
}

void Received::Traced(Nanos horizon, Nanos traced, bool lost) {
  lost_ = lost_ || lost;
  if (horizon <= horizon_ && !lost) return;
  horizon_ = horizon;
  traced_ = traced;
  waits_ = true;
  if (count_ > 0 && horizon <= Ago(0).now) Compare();
}

void Received::Rebase() {
  based_ = false;
  waits_ = false;
}

Nanos Received::TakeCorrection() { return std::exchange(pending_, 0); }

void Received::Compare() {
  waits_ = false;
  Sample at;
  if (!SampleAt(horizon_, &at)) return;
  // A process that rests on the card looks busy in the trace, for as long as it is left there.
  const bool anew = !based_ || lost_ || idle_at_ > base_.now || horizon_ < base_.now ||
                    traced_ < last_traced_ - kMostTakenBack;
  if (anew) return SetBase(at);
  last_traced_ = traced_;
  const Nanos spent = at.charged - base_.charged;
  const Nanos rested = at.rested - base_.rested;
  const Nanos more = traced_ - base_traced_ - spent;
  // What is no more than its rests may be nothing but these.
  const Nanos wanted =
      more < 0 ? std::max(more, -spent / kReturnedPart) : std::max<Nanos>(more - rested, 0);
  const Nanos before = pending_;
  pending_ = std::clamp(pending_ + wanted - given_, -kMost, kMost);
  given_ += pending_ - before;
}

void Received::SetBase(const Sample& at) {
  based_ = true;
  lost_ = false;
  base_ = at;
  base_traced_ = traced_;
  last_traced_ = traced_;
  given_ = 0;
}

bool Received::SampleAt(Nanos at, Sample* found) const {
  for (size_t i = 0; i + 1 < count_; ++i) {
    const Sample& after = Ago(i);
    const Sample& before = Ago(i + 1);
    if (at > after.now || at < before.now) continue;
    const double part = static_cast<double>(at - before.now) /
                        static_cast<double>(std::max<Nanos>(after.now - before.now, 1));
    const auto between = [&](Nanos from, Nanos to) {
      return from + static_cast<Nanos>(part * static_cast<double>(to - from));
    };
    *found = {at, between(before.charged, after.charged), between(before.rested, after.rested)};
    return true;
  }
  return false;
}

const Received::Sample& Received::Ago(size_t count) const {
  return samples_[(next_ + kSamples - 1 - count) % kSamples];
}

}  // namespace flexai::operate
