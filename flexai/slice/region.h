// The page that the daemon and the processes of one tenant share (a memfd), and its rules: one
// writer per field, no lock, plain atomics. docs/formats/region.md describes the bytes; a change of
// layout raises kRegionVersion.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "flexai/base/clock.h"
#include "flexai/base/status.h"
#include "flexai/model/slice_spec.h"

namespace flexai::slice {

inline constexpr uint32_t kRegionMagic = 0x52584c46;  // "FLXR"
inline constexpr uint32_t kRegionVersion = 6;
inline constexpr uint32_t kMaxProcesses = 512;
/// A heartbeat older than this means that the daemon is gone: tenants then keep to their own clock.
inline constexpr Nanos kHeartbeatLimit = 200 * kMillisecond;

/// Bit 0 of `gate`: the tenant shall not compute. Bit 1: because another does from now on. The bits
/// above count changes, so that a waiter never sleeps through one.
inline constexpr uint32_t kGateHeld = 1;
inline constexpr uint32_t kGateHandedOver = 2;
/// The word that follows `gate`, with these bits.
constexpr uint32_t NextGate(uint32_t gate, uint32_t bits) {
  return ((gate | kGateHeld | kGateHandedOver) + 1) | bits;
}

/// What one process says about itself. Writer: that process; `owner`, `booked`, `measures`,
/// `host_pid` and `compared` are the daemon's.
struct alignas(128) ProcessSlot {
  std::atomic<uint64_t> owner;       // 0 = free; else a number that is never used again
  std::atomic<uint64_t> used;        // bytes granted to this process
  std::atomic<uint64_t> claim;       // bytes being asked for just now
  std::atomic<uint64_t> refused;     // allocations refused
  std::atomic<uint64_t> launches;    // kernels launched, as far as already counted
  std::atomic<int64_t> turned_at;    // clock when the last gate word took effect
  std::atomic<uint32_t> obeyed;      // the last gate word obeyed
  std::atomic<uint32_t> workers;     // threads that the lever stops
  std::atomic<uint32_t> lever;       // LeverKind
  std::atomic<uint32_t> pid;         // in the process's own namespace
  std::atomic<uint64_t> booked;      // bytes that the driver says the process has beyond `used`
  std::atomic<uint64_t> advance;     // bytes expected to be booked, until they are
  std::atomic<uint32_t> measures;    // how often `booked` was compared with the driver
  std::atomic<uint32_t> host_pid;    // in the daemon's namespace
  std::atomic<uint64_t> unseen;      // bytes of `used` that the driver's figures leave out
  std::atomic<int64_t> emptied_at;   // clock when the last of its queues became empty
  std::atomic<uint32_t> queues;      // which have work, as QueueWatch shows it
  std::atomic<uint32_t> unforeseen;  // how often the driver may have taken what nobody asked for
  std::atomic<uint64_t> granted;     // bytes that were ever added to `used`
  std::atomic<uint32_t> compared;    // of `unforeseen`, so many are in the books
};

/// Writer: the daemon, all fields.
struct alignas(128) RegionHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t size;
  uint32_t max_processes;
  char slice[32];
  char card[32];
  char command[256];
  uint32_t owner_uid;
  int32_t leader_pid;
  int64_t created;
  std::atomic<uint64_t> memory_limit;
  // The one field that every process may write, upwards only: most bytes ever held at once.
  std::atomic<uint64_t> memory_peak;
  std::atomic<int32_t> share;
  std::atomic<int32_t> limit;
  std::atomic<uint32_t> priority;
  std::atomic<uint32_t> paused;
  std::atomic<uint32_t> gate;        // futex word
  std::atomic<uint32_t> slots_used;  // slots below this one may be taken
  std::atomic<int64_t> heartbeat;    // CLOCK_MONOTONIC of the daemon's last tick
  // Where this tenant's time lies in each period when no daemon decides: sums of limits above the
  // whole card are scaled down, so that windows of tenants do not overlap.
  std::atomic<int64_t> window_begin;
  std::atomic<int64_t> window_length;
  std::atomic<int64_t> window_period;
  std::atomic<uint64_t> context_bytes;  // what a process is expected to hold by using the card
  char card_uuid[64];
  std::atomic<uint32_t> time_slice;  // us that the card may stay with it; 0 = as the driver has it
  std::atomic<uint32_t> dropped;     // levers that do not hold on this card (device/prober.h)
};

struct Region {
  RegionHeader header;
  ProcessSlot slots[kMaxProcesses];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(sizeof(ProcessSlot) == 128);
static_assert(sizeof(RegionHeader) % 128 == 0);

/// A mapped region and its memfd; unmaps and closes when destroyed.
class RegionMap {
 public:
  RegionMap() = default;
  RegionMap(RegionMap&& other) noexcept { *this = std::move(other); }
  RegionMap& operator=(RegionMap&& other) noexcept;
  ~RegionMap();

  /// A fresh region for `slice`.
  /// Errors: kInternal (no memfd, no memory).
  static Result<RegionMap> Create(const std::string& slice);

  /// Maps a region that came over a socket; takes `fd`.
  /// Errors: kFailedPrecondition (another version); kDataLoss (not a region, or one whose size is
  /// not sealed).
  static Result<RegionMap> Open(int fd);

  Region* get() const { return region_; }
  Region* operator->() const { return region_; }
  explicit operator bool() const { return region_ != nullptr; }
  int fd() const { return fd_; }
  /// Leaves the mapping alone for ever: other threads may still look at it.
  Region* Leak();

 private:
  Region* region_ = nullptr;
  int fd_ = -1;
};

/// Bytes that a process holds: what it was granted, and what the driver holds for it besides.
uint64_t HeldBytes(const ProcessSlot& slot);
/// The same of all processes of the tenant.
uint64_t UsedBytes(const Region& region);

/// Whether the driver's figures show more of some process than using the card costs and it was
/// granted. They are up to a second old: it may have given that back, or been granted it since.
bool HasBookings(const Region& region);

/// Whether the driver may have taken memory for a process that nobody had asked for, and that is
/// not in the books.
inline bool IsStale(const ProcessSlot& slot) {
  return slot.unforeseen.load(std::memory_order_relaxed) !=
         slot.compared.load(std::memory_order_acquire);
}
/// The same of any process of the tenant.
inline bool IsStale(const Region& region) {
  const uint32_t slots = region.header.slots_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < slots && i < kMaxProcesses; ++i) {
    if (IsStale(region.slots[i])) return true;
  }
  return false;
}

/// Whether a tenant without a daemon may compute at `now`.
bool InOwnWindow(const RegionHeader& header, Nanos now);

/// Waits until `word` differs from `seen`, or for `timeout`, as one of `groups`, a set of bits.
/// Thread: any, also a signal handler.
void FutexWait(const std::atomic<uint32_t>& word, uint32_t seen, Nanos timeout,
               uint32_t groups = ~0u);
/// Wakes all that wait on `word`, in every process, as one of `groups`.
void FutexWake(const std::atomic<uint32_t>& word, uint32_t groups = ~0u);

}  // namespace flexai::slice
