// Corrects what the arbiter charges one slice by what a trace of the card says it received. The
// arbiter charges at once, by the clock; the trace is exact but comes late. So the two are compared
// at the moment up to which the trace is complete. Pure: times come in as parameters.
#pragma once

#include <array>
#include <cstddef>

#include "flexai/base/clock.h"

namespace flexai::operate {

class Received {
 public:
  /// No correction is greater, up or down; what is beyond comes with the next.
  static constexpr Nanos kMost = 50 * kMillisecond;

  /// No rest is longer that is known exactly enough to be compared.
  static constexpr Nanos kLongRest = 20 * kMillisecond;

  /// Once after each step of the arbiter: all that it has charged the slice so far, less the
  /// corrections from here; and all the time that it has rested, which the trace shows as on the
  /// card if it was there. `busy`: the slice had work since the last call.
  void Charged(Nanos now, Nanos charged, Nanos rested, bool busy);
  /// What the trace says: card time of all processes of the slice until `horizon`. `lost`: the
  /// trace has a gap since the last time.
  void Traced(Nanos horizon, Nanos traced, bool lost);
  /// A process of the slice came or went: sums from before are no base any more.
  void Rebase();
  /// What the arbiter shall charge besides, once. Units: ns of the whole card, negative = give
  /// back.
  Nanos TakeCorrection();

 private:
  struct Sample {
    Nanos now = 0;
    Nanos charged = 0;
    Nanos rested = 0;
  };
  static constexpr size_t kSamples = 256;

  void Compare();
  void SetBase(const Sample& at);
  bool SampleAt(Nanos at, Sample* found) const;
  const Sample& Ago(size_t count) const;

  std::array<Sample, kSamples> samples_ = {};  // a ring
  size_t next_ = 0;
  size_t count_ = 0;
  Nanos busy_at_ = 0;   // when it last had work
  Nanos idle_at_ = -1;  // when it last had had none for long

  bool waits_ = false;  // word of the trace that is newer than the newest sample
  bool lost_ = false;
  Nanos horizon_ = 0;
  Nanos traced_ = 0;

  bool based_ = false;
  Sample base_;
  Nanos base_traced_ = 0;
  Nanos last_traced_ = 0;
  Nanos given_ = 0;    // since the base, taken or not
  Nanos pending_ = 0;  // not taken yet
};

}  // namespace flexai::operate
