// The one thing that every exported symbol of a vendor library enters. It holds the stages and, for
// each door, where calls go next. Entry without a listener costs two loads and the call
// itself; nothing on the way of a call locks, allocates or asks the kernel.
//
// A door is one way into a library inside one process: a loader's layer, a driver's patched table,
// our exported symbols. Outer doors lie in front of a loader, inner ones in front of a driver: a
// call that was seen at an outer door goes straight through an inner one, while an application's
// callback that calls an outer door again is a new call.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>

#include "flexai/intercept/call.h"
#include "flexai/intercept/stage.h"

namespace flexai::intercept {

inline constexpr int kMaxDoors = 4;

/// How far a door is from the device; see the head of this file.
enum class DoorLevel : uint8_t { kInner = 1, kOuter = 2 };

/// What this thread is doing, as far as entries need to know.
enum class Inside : uint8_t { kNothing = 0, kInnerCall = 1, kOuterCall = 2, kOwn = 3 };

// initial-exec: a thread's first touch must not allocate, as dynamic TLS does.
extern constinit thread_local Inside t_inside __attribute__((tls_model("initial-exec")));

/// While it lives, calls of this thread go straight to the driver: for work of our own outside
/// Before and After.
class OwnCalls {
 public:
  OwnCalls() : before_(t_inside) { t_inside = Inside::kOwn; }
  ~OwnCalls() { t_inside = before_; }
  OwnCalls(const OwnCalls&) = delete;
  OwnCalls& operator=(const OwnCalls&) = delete;

 private:
  Inside before_;
};

/// Storage-free base; use SizedChassis. What a call reads of it is one line of the cache.
class alignas(64) Chassis {
 public:
  Chassis(const Chassis&) = delete;
  Chassis& operator=(const Chassis&) = delete;

  const LibraryInfo& library() const { return library_; }

  /// Adds the next stage in line; only inside the start function or before the first call.
  /// Errors: kFailedPrecondition (calls have begun); kResourceExhausted (kMaxStages are in).
  Status AddStage(Stage* stage);

  /// Switches a stage on or off while calls run. A call in flight keeps what it began with.
  /// Thread: any; takes a lock, but calls never do.
  void Enable(const Stage* stage, bool on);

  /// Where calls of one door go: `library().count` function pointers; null entries leave what is
  /// there. Thread: any, before calls of that door begin.
  void SetForwarder(int door, DoorLevel level, void* const* functions);
  /// The same for one function, as look-ups find it.
  void SetForward(int door, uint16_t index, void* function);

  void* Next(int door, uint16_t index) const {
    return next_[door * count_ + index].load(std::memory_order_relaxed);
  }
  /// What an entry asks first: kStarted alone means that no stage listens.
  uint8_t State(uint16_t index) const { return active_[index].load(std::memory_order_acquire); }
  /// Set once the chassis has started; 0 (how storage begins) means that it has not.
  static constexpr uint8_t kStarted = 0x80;

  /// Whether a stage may ever want to see the function, also one that is switched off now. Nobody
  /// misses the calls of others. Thread: any, once the chassis has started.
  bool IsHeard(uint16_t index) const;

  /// Whether a call about `queue` and `handle`, its first, may go on to the driver at once, because
  /// the only stage that listens is done with it.
  bool TakesShortWay(uint8_t state, uint16_t index, uint64_t queue, uint64_t handle) {
    if (!(state & kShort) || t_inside != Inside::kNothing) return false;
    return short_way_(*short_stage_, index, queue, handle);
  }

  /// The slow way of one call: `params` is the generated struct of function `index`.
  void Run(int door, uint16_t index, void* params, void* next);

  /// Runs the start function now if it has not run yet.
  void Start();

 protected:
  constexpr Chassis(const LibraryInfo& library, void (*start)(Chassis&),
                    std::atomic<uint8_t>* active, std::atomic<void*>* next, uint16_t count)
      : library_(library), start_(start), active_(active), next_(next), count_(count) {}
  ~Chassis() = default;

  /// One stage listens, and has a short way; and no door is an inner one, for which a thread would
  /// have to know that its call is with the driver.
  static constexpr uint8_t kShort = 0x40;
  static constexpr uint8_t kStages = (1u << kMaxStages) - 1;

 private:
  void RefreshLocked();
  bool GoesStraight(int door) const;
  void Visit(uint8_t stages, Call& call, void* next);

  const LibraryInfo& library_;
  void (*start_)(Chassis&);
  std::atomic<uint8_t>* active_;  // per function: kStarted, kShort, the stages to visit, a bit each
  std::atomic<void*>* next_;      // door x function
  uint16_t count_;
  DoorLevel levels_[kMaxDoors] = {DoorLevel::kOuter, DoorLevel::kOuter, DoorLevel::kOuter,
                                  DoorLevel::kOuter};
  // The first stage that has a short way, and that way: set before calls begin.
  Stage* short_stage_ = nullptr;
  Stage::ShortWay short_way_ = nullptr;
  Stage* stages_[kMaxStages] = {};
  int stage_count_ = 0;
  uint8_t enabled_ = 0;
  std::atomic<bool> started_{false};
  std::mutex start_mu_;  // held while start_ runs; order: start_mu_ -> mu_
  std::mutex mu_;        // guards stages_ while adding, enabled_
};

/// A chassis for a library of `kFunctions` functions; constant-initialised, so that it needs no
/// constructor at load.
template <uint16_t kFunctions>
class SizedChassis : public Chassis {
 public:
  /// `start` runs once, on the thread of the first call, before that call goes on: it adds stages
  /// and connects to the daemon. What it calls in the driver goes straight there. May be null.
  constexpr SizedChassis(const LibraryInfo& library, void (*start)(Chassis&))
      : Chassis(library, start, active_storage_, next_storage_, kFunctions) {}

 private:
  std::atomic<uint8_t> active_storage_[kFunctions] = {};
  std::atomic<void*> next_storage_[kMaxDoors * kFunctions] = {};
};

}  // namespace flexai::intercept
