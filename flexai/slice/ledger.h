// Bytes of device memory held by a tenant, against its limit. Each process writes only its own slot
// of the region and reads the others'; the tenant's total is their sum. So nothing has to be undone
// when a process dies at any instruction: its slot is cleared, and the sum is exact again.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "flexai/base/status.h"
#include "flexai/slice/region.h"

namespace flexai::slice {

class Ledger {
 public:
  /// Keeps the books of the process that owns `slot`.
  Ledger(Region* region, uint32_t slot) : region_(region), slot_(&region->slots[slot]) {}

  /// Takes `bytes` from the slice's budget before the driver is asked.
  /// Units:  bytes, as the driver will hold them.
  /// Errors: kResourceExhausted (past the limit; nothing is taken).
  /// Thread: any; `mu_` orders the threads of this process, and dies with it.
  Status Reserve(uint64_t bytes);

  /// Gives `bytes` back; never below zero. Thread: any.
  void Release(uint64_t bytes);

  /// Takes `bytes` that the driver has given already, limit or not.
  void Book(uint64_t bytes);

  /// Of what is granted, `bytes` more (or less) do not show in what the driver says of processes.
  void CountUnseen(int64_t bytes);

  /// Moves `bytes` that were reserved to what is expected to be booked: they count until the daemon
  /// has compared this process's books with the driver's.
  void Advance(uint64_t bytes);
  /// `bytes` that were advanced are held no more. Booked ones are told by the next comparison.
  void Retreat(uint64_t bytes);
  /// Drops what was advanced if that has happened. Thread: any; cheap.
  void SettleAdvance();
  /// Whether something counts that only a comparison can tell.
  bool has_advance() const { return advanced_.load(std::memory_order_relaxed); }

  /// Whether figures of the driver count that are up to a second old (`HasBookings`).
  bool has_bookings() const { return HasBookings(*region_); }

  /// The driver may have taken memory that nobody could foresee. It does not show before the books
  /// are compared, which is done before they come near the limit. Thread: any.
  void TookUnforeseen();
  /// Whether less than `kNear` was left by what this process last reserved, and the books may be
  /// short of what the driver took unforeseen, for whichever process.
  bool MustCompare() const {
    return near_.load(std::memory_order_relaxed) &&
           (stale_.load(std::memory_order_relaxed) || IsStale(*region_));
  }
  bool is_stale() const { return IsStale(*region_); }
  /// The same of what the driver took for this process.
  bool is_own_stale() const { return IsStale(*slot_); }

  /// In the child of a fork: the slot is the parent's, so what the child gives up of the objects
  /// that it inherited counts for nothing. Thread: the child's only one.
  void Abandon() { abandoned_.store(true, std::memory_order_relaxed); }

  uint64_t limit() const { return region_->header.memory_limit.load(std::memory_order_relaxed); }
  uint64_t used() const { return UsedBytes(*region_); }
  /// What can still be reserved; 0 when a limit was lowered below use.
  uint64_t free_bytes() const;

  // More than a driver was seen to take unforeseen before the books were compared, once a second:
  // 92 MiB of code for the first kernel of PyTorch's (docs/reference/hardware-notes.md).
  static constexpr uint64_t kNear = uint64_t{1} << 30;

 private:
  bool TryClaim(uint64_t bytes, bool* only_claims_in_the_way);
  // With mu_ held, before `used` rises.
  void CountGranted(uint64_t bytes) {
    const uint64_t before = slot_->granted.load(std::memory_order_relaxed);
    slot_->granted.store(before + bytes, std::memory_order_relaxed);
  }

  Region* region_;
  ProcessSlot* slot_;
  std::mutex mu_;
  std::atomic<bool> advanced_{false};
  uint32_t settle_at_ = 0;  // value of `measures` that settles the advance
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> near_{false};
  std::atomic<bool> stale_{false};  // before the last sum near the limit
};

}  // namespace flexai::slice
