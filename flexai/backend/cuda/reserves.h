// Memory that the driver holds in reserve and hands out by itself: pools of the stream ordered
// allocator, and what graphs take when they are launched. Their truth is what the driver says is
// reserved; it is asked after every call that may change it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "flexai/backend/cuda/exported.h"
#include "flexai/slice/ledger.h"

namespace flexai::backend::cuda {

/// A pool, and the memory of graphs, grow by multiples of this (measured on an H100).
inline constexpr uint64_t kPoolStep = uint64_t{32} << 20;

/// Thread: any; no lock is held while the driver is asked.
class Reserves {
 public:
  /// What the pool behind `key` (a pool's handle, or GraphKey of a card) will have to grow by at
  /// most for `bytes` more, in steps of `step`.
  uint64_t Plan(uint64_t key, uint64_t bytes, uint64_t step);
  /// What it has grown by since it was last booked; Keep books that.
  uint64_t Grown(uint64_t key);
  void Keep(uint64_t key, uint64_t bytes);
  /// Gives back to `ledger` what the driver has given back; true if that was anything.
  bool Settle(uint64_t key, slice::Ledger& ledger);
  /// The same for all, which are trimmed first.
  bool Recover(slice::Ledger& ledger);
  /// Whether the pool is in the books, if with 0 bytes.
  bool Has(uint64_t key);
  /// The pool is gone: its bytes.
  uint64_t Take(uint64_t key);

  static uint64_t GraphKey(api::CUdevice_v1 device) { return static_cast<uint64_t>(device) + 1; }

 private:
  struct State {
    uint64_t reserved = 0;
    uint64_t used = 0;
  };
  static bool IsGraph(uint64_t key) { return key <= 4096; }
  static State Ask(uint64_t key);
  static void Trim(uint64_t key);

  std::mutex mu_;                        // guards booked_
  std::map<uint64_t, uint64_t> booked_;  // pool -> bytes in the ledger
};

/// What executable graphs take when they are launched.
/// Thread: any; takes its own lock.
class Graphs {
 public:
  /// `exec` was made from `graph`, or changed to it: its memory nodes are counted.
  void Learn(uint64_t exec, api::CUgraph graph);
  void Forget(uint64_t exec);
  /// Bytes of the memory nodes of `exec`; 0 if there are none.
  uint64_t BytesOf(uint64_t exec);
  /// Whether a launch of `exec` may take more than the driver has reserved for it before.
  bool MayGrow(uint64_t exec);
  void Launched(uint64_t exec);
  /// The driver has given reserved memory back: every graph may grow again.
  void Trimmed() { ++trims_; }

 private:
  struct Exec {
    uint64_t bytes;
    uint64_t launched_at = ~uint64_t{0};  // value of trims_ then
  };
  static uint64_t Count(api::CUgraph graph, int depth);

  std::mutex mu_;  // guards execs_
  std::unordered_map<uint64_t, Exec> execs_;
  std::atomic<uint64_t> trims_{0};
  std::atomic<bool> any_{false};  // no graph with memory nodes yet: launches look no further
};

}  // namespace flexai::backend::cuda
