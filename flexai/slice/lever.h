// A way to make a card obey, from inside the process that uses it. Backends bring their own; the
// gate (launches wait) works with every API.
#pragma once

#include <atomic>
#include <cstdint>

namespace flexai::slice {

enum class LeverKind : uint32_t { kNone = 0, kGate = 1, kFreeze = 2 };

/// Thread: Hold and Release come from the agent's thread, one at a time.
class Lever {
 public:
  virtual ~Lever() = default;
  virtual LeverKind kind() const = 0;
  /// Stops this process's work on the card; returns when it was told to stop. `handed_over`:
  /// another tenant has work that runs from now on.
  virtual void Hold(bool handed_over) = 0;
  /// Lets it go on.
  virtual void Release() = 0;
  /// How many threads or channels the lever stops.
  virtual uint32_t workers() const = 0;
  /// How long the card may stay with this process while another's work waits, where the card goes
  /// round by itself among those that are let run. Units: us; 0 = as the driver has it.
  virtual void SetTimeSlice(uint32_t) {}
  /// `levers`, bits of device/prober.h, were found not to hold on this card and are not used from
  /// now on; the others may be.
  virtual void Drop(uint32_t /*levers*/) {}
};

/// Holds launches back before they reach the driver; what has been launched runs on.
class GateLever : public Lever {
 public:
  LeverKind kind() const override { return LeverKind::kGate; }
  void Hold(bool) override { closed_.store(1, std::memory_order_relaxed); }
  void Release() override;
  uint32_t workers() const override { return 0; }

  /// Pass follows soon: what it looks at is fetched meanwhile.
  void Expect() const { __builtin_prefetch(&closed_); }
  /// On the way of every launch: one relaxed load while the gate is open. Leaves errno as it is.
  void Pass() {
    if (closed_.load(std::memory_order_relaxed) != 0) WaitUntilOpen();
  }

 private:
  void WaitUntilOpen();
  std::atomic<uint32_t> closed_{0};
};

}  // namespace flexai::slice
