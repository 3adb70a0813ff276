// The lever for OpenCL cards that are CPUs: the driver's worker threads are stopped in the middle
// of whatever they run, by a signal whose handler waits until they may go on. Workers are told from
// other threads by their name: a thread that the driver starts inherits the name of the thread that
// called it, so that thread is renamed while it is inside the driver.
#pragma once

#include <signal.h>

#include <atomic>
#include <mutex>

#include "flexai/slice/hold_times.h"
#include "flexai/slice/lever.h"

namespace flexai::backend::opencl {

/// The name of workers, as top(1) and the daemon see it.
inline constexpr char kWorkerName[] = "flexai-worker";

/// One in each process: a signal has one handler.
class WorkerFreeze : public slice::Lever {
 public:
  explicit WorkerFreeze(slice::GateLever* gate) : gate_(gate) {}

  slice::LeverKind kind() const override;
  /// Freezes the workers; where there are none of ours (a driver that computes in the caller's
  /// thread), closes the gate.
  void Hold(bool handed_over) override;
  void Release() override;
  uint32_t workers() const override { return count_.load(std::memory_order_relaxed); }

  /// When the workers stood still.
  const slice::HoldTimes& hold_times() const { return hold_times_; }

  /// Around a driver call that may start workers. Thread: the caller's.
  static void BeginMark();
  static void EndMark();
  /// Looks for workers that are new. Thread: any.
  void FindWorkers();
  /// In a fork's child, which has no workers.
  void Forget();

 private:
  bool InstallHandler();
  void Signal(uint32_t worker) const;
  static void OnSignal(int, siginfo_t* info, void*);

  static constexpr uint32_t kMaxWorkers = 1024;
  slice::GateLever* gate_;
  std::mutex mu_;  // guards finding, and the two below
  bool handler_installed_ = false;
  bool told_ = false;
  std::atomic<uint32_t> count_{0};
  std::atomic<int> tids_[kMaxWorkers] = {};
  slice::HoldTimes hold_times_;
  bool workers_held_ = false;  // the agent's
};

}  // namespace flexai::backend::opencl
