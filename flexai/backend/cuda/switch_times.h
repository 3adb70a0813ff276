// Card time of each process, from records of the card's context switches. Pure: records and moments
// go in, sums come out. One engine of one card, so one process has it at a time; measured facts
// behind the constants: docs/reference/h100-results.md.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "flexai/base/clock.h"
#include "flexai/device/meter.h"
#include "rm/types.h"

namespace flexai::backend::cuda {

/// A record as it lies in the ring that the kernel module fills.
struct SwitchRecord {
  api::rm::NV_EVENT_BUFFER_RECORD_HEADER header;
  api::rm::NV_EVENT_BUFFER_FECS_RECORD_V2 body;
};
static_assert(sizeof(SwitchRecord) == 32);

class SwitchTimes {
 public:
  /// What a switch costs the process that leaves: it had the card, but did not compute.
  static constexpr Nanos kPreempted = 120 * kMicrosecond;
  static constexpr Nanos kRanEmpty = 60 * kMicrosecond;

  /// `skew`: the card's clock less CLOCK_MONOTONIC. It counts for records that follow.
  void SetSkew(Nanos skew) { skew_ = skew; }
  /// The next record, in the order in which they were written.
  void Add(const SwitchRecord& record);
  /// Records were lost after the last one added: who has the card is unknown until the next.
  void Lose();
  /// All records until `now` have been added: whoever has the card had it until then.
  void Advance(Nanos now);

  /// The moment up to which all is counted; 0 before the first record. Units: CLOCK_MONOTONIC ns.
  Nanos horizon() const { return horizon_; }
  /// Whether records were lost since the last call, or who has the card is still unknown.
  bool TakeLost();
  /// Every process seen in the last minute and its card time so far, which does not fall, up to the
  /// horizon. One that was forgotten begins at 0 again.
  std::vector<device::ProcessTime> Totals() const;

 private:
  struct Process {
    Nanos total = 0;  // of slices that are over
    Nanos seen = 0;
  };
  struct Slice {
    uint32_t pid = 0;
    Nanos start = 0;
    Nanos end = -1;  // -1 = still open
  };

  void Start(uint32_t pid, Nanos at);
  void End(uint32_t pid, Nanos at);
  void Settle(bool preempted);
  void Forget();
  Nanos SoFar(const Slice& slice) const;

  Nanos skew_ = 0;
  Nanos horizon_ = 0;
  Nanos forgotten_at_ = 0;
  std::map<uint32_t, Process> processes_;
  Slice last_;           // the slice that is open, or the one whose cost is not known yet
  bool sliced_ = false;  // whether there is such a slice
  bool known_ = false;   // who has the card
  bool lost_ = false;
  bool first_ = true;
  uint16_t sequence_ = 0;
};

}  // namespace flexai::backend::cuda
