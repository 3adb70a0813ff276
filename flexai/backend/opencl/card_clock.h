// The clock by which drivers of CPU cards tell when a kernel began and ended, as the slice's own
// card would show it: it stands still while the workers are held.
#pragma once

#include <atomic>
#include <cstdint>

#include "flexai/slice/hold_times.h"

namespace flexai::backend::opencl {

class CardClock {
 public:
  explicit CardClock(const slice::HoldTimes& hold_times) : hold_times_(hold_times) {}

  /// What the slice's card shows at the moment that the driver calls `moment`; the same moment if
  /// the driver's clock is none of this host's. Units: ns. Thread: any.
  uint64_t FromDriver(uint64_t moment);

 private:
  static constexpr int kClocks = 3;

  const slice::HoldTimes& hold_times_;
  // How near to the present each of the host's clocks has shown a driver's moment to be.
  std::atomic<Nanos> nearest_[kClocks] = {INT64_MAX, INT64_MAX, INT64_MAX};
};

}  // namespace flexai::backend::opencl
