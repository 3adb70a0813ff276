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

void Received::Charged(Nanos now, Nanos charged, bool busy) {
  if (!busy) idle_at_ = now;
  const bool close = count_ >= 2 && now - Ago(1).now < kSpacing;
  if (!close) {
    next_ = (next_ + 1) % kSamples;
    count_ = std::min(count_ + 1, kSamples);
  }
  samples_[(next_ + kSamples - 1) % kSamples] = {now, charged};
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
  Nanos charged = 0;
  if (!ChargedAt(horizon_, &charged)) return;
  // A process that rests on the card looks busy in the trace: idle times cannot be compared.
  const bool anew = !based_ || lost_ || idle_at_ > base_horizon_ || horizon_ < base_horizon_ ||
                    traced_ < last_traced_ - kMostTakenBack;
  if (anew) return SetBase(charged);
  last_traced_ = traced_;
  const Nanos spent = charged - base_charged_;
  const Nanos wanted = std::max(traced_ - base_traced_ - spent, -spent / kReturnedPart);
  const Nanos before = pending_;
  pending_ = std::clamp(pending_ + wanted - given_, -kMost, kMost);
  given_ += pending_ - before;
}

void Received::SetBase(Nanos charged) {
  based_ = true;
  lost_ = false;
  base_horizon_ = horizon_;
  base_traced_ = traced_;
  base_charged_ = charged;
  last_traced_ = traced_;
  given_ = 0;
}

bool Received::ChargedAt(Nanos at, Nanos* charged) const {
  for (size_t i = 0; i + 1 < count_; ++i) {
    const Sample& after = Ago(i);
    const Sample& before = Ago(i + 1);
    if (at > after.now || at < before.now) continue;
    const double part = static_cast<double>(at - before.now) /
                        static_cast<double>(std::max<Nanos>(after.now - before.now, 1));
    *charged = before.charged +
               static_cast<Nanos>(part * static_cast<double>(after.charged - before.charged));
    return true;
  }
  return false;
}

const Received::Sample& Received::Ago(size_t count) const {
  return samples_[(next_ + kSamples - 1 - count) % kSamples];
}

}  // namespace flexai::operate
