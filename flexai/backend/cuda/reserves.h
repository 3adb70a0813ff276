// Memory that the driver holds in reserve and hands out by itself: pools of the stream ordered
// allocator, and what graphs take when they are launched. Their truth is what the driver says is
// reserved; it is asked after every call that may change it. A pool that was destroyed says nothing
// any more: what it held stays booked until the last piece of it is given up.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "flexai/backend/cuda/exported.h"
#include "flexai/base/clock.h"
#include "flexai/slice/ledger.h"

namespace flexai::backend::cuda {

/// A pool, and the memory of graphs, grow by multiples of this (measured on an H100).
inline constexpr uint64_t kPoolStep = uint64_t{32} << 20;

/// How often at most pools are asked after waits, while nothing more was freed.
inline constexpr Nanos kSettleEvery = kMillisecond;

/// A piece of a pool that was taken out of the books.
struct TakenPiece {
  uint64_t address = 0;  // 0: it is not known
  uint64_t bytes = 0;
  uint64_t key = 0;
  uint64_t freed = 0;  // of a pool that was destroyed, and of which it was the last
};

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
  /// The same for all pools after a wait, if any piece was given up whose memory they may have
  /// given back by then.
  void SettleFreed(slice::Ledger& ledger);
  /// The same, now.
  void SettleFreedNow(slice::Ledger& ledger);
  /// The same for all, which are trimmed first.
  bool Recover(slice::Ledger& ledger);
  /// The pool's memory is the host's: nothing of it is in the ledger.
  void KeepOnHost(uint64_t key);
  bool IsOnHost(uint64_t key);
  /// Whether the pool is in the books, if with 0 bytes.
  bool Has(uint64_t key);

  /// Bytes that the pool has handed out, by the driver; 0 for one that is not in the books.
  uint64_t Used(uint64_t key);
  /// `address` is a piece of the pool, of `bytes`.
  void KeepPiece(uint64_t address, uint64_t bytes, uint64_t key);
  bool HasPiece(uint64_t address);
  TakenPiece TakePiece(uint64_t address);
  /// It is there after all.
  void PutBack(const TakenPiece& piece);

  /// Before the pool is destroyed: its handle may be another pool's soon, so its books get a key of
  /// their own. 0 for one that is not in the books.
  uint64_t Detach(uint64_t key);
  /// It was not destroyed.
  void Attach(uint64_t detached, uint64_t key);
  /// It was: what the process holds less. 0 while there are pieces; the last of them brings it.
  uint64_t End(uint64_t detached);

  static uint64_t GraphKey(api::CUdevice_v1 device) { return static_cast<uint64_t>(device) + 1; }

 private:
  struct State {
    uint64_t reserved = 0;
    uint64_t used = 0;
  };
  struct Book {
    uint64_t bytes = 0;  // in the ledger
    uint64_t pieces = 0;
    uint64_t piece_bytes = 0;
    uint64_t keeps = 0;  // tells whether it was added to while the driver was asked
    bool ended = false;
    bool on_host = false;
  };
  static bool IsGraph(uint64_t key) { return key <= 4096; }
  // Handles are addresses of objects, and even.
  static bool IsDetached(uint64_t key) { return !IsGraph(key) && key % 2 == 1; }
  static State Ask(uint64_t key);
  static void Trim(uint64_t key);

  void MoveLocked(uint64_t from, uint64_t to);
  std::vector<uint64_t> Booked();
  uint64_t KeepsOf(uint64_t key);
  bool SettleTo(uint64_t key, const State& state, uint64_t keeps, slice::Ledger& ledger);
  bool HandsOutMore(uint64_t key, const State& state);

  std::mutex mu_;  // guards what follows
  std::map<uint64_t, Book> booked_;
  struct Piece {
    uint64_t key;
    uint64_t bytes;
  };
  std::unordered_map<uint64_t, Piece> pieces_;  // by address
  uint64_t next_detached_ = 4097;

  std::atomic<bool> freed_{false};  // a piece, since the pools were asked last
  std::atomic<bool> waits_{false};  // one whose memory was not back then
  std::atomic<Nanos> asked_at_{0};
};

/// What executable graphs take when they are launched.
/// Thread: any; takes its own lock.
class Graphs {
 public:
  /// `exec` was made from `graph`, or changed to it: its memory nodes are counted. A thread of its
  /// kernels needs `need`.
  void Learn(uint64_t exec, api::CUgraph graph, uint64_t need);
  void Forget(uint64_t exec);
  /// What the memory nodes of a graph take, in sum, and on which card: that of the first.
  struct Nodes {
    uint64_t bytes = 0;
    int device = -1;
  };
  static Nodes Look(api::CUgraph graph);
  /// What the driver takes for itself when a graph is made executable, as far as is known; 0 for a
  /// part of a block.
  static uint64_t OwnBytes(api::CUgraph graph);
  /// The kernels that a graph launches, by the handles that it was given.
  static std::vector<uint64_t> KernelsIn(api::CUgraph graph);
  /// Bytes of the memory nodes of `exec`; 0 if there are none.
  uint64_t BytesOf(uint64_t exec);
  /// The card that they are on.
  int DeviceOf(uint64_t exec);
  /// What a thread of its kernels needs at most.
  uint64_t NeedOf(uint64_t exec);
  /// Whether a launch of `exec` may take more than the driver has reserved for it before.
  bool MayGrow(uint64_t exec);
  void Launched(uint64_t exec);
  /// The driver has given reserved memory back: every graph may grow again.
  void Trimmed() { ++trims_; }

 private:
  struct Exec {
    uint64_t bytes;
    int device;
    uint64_t launched_at = ~uint64_t{0};  // value of trims_ then
  };
  template <class F>
  static void ForEachNode(api::CUgraph graph, int depth, const F& f);

  std::mutex mu_;  // guards execs_ and needs_
  std::unordered_map<uint64_t, Exec> execs_;
  std::unordered_map<uint64_t, uint64_t> needs_;
  std::atomic<uint64_t> trims_{0};
  std::atomic<bool> any_{false};  // no graph with memory nodes yet: launches look no further
  std::atomic<bool> any_needs_{false};
};

}  // namespace flexai::backend::cuda
