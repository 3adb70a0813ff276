// One pretend card: an arena, streams of tasks, and a worker thread for each compute unit. Drivers
// made from a table (entry.h) stand in front of it; it knows no vendor.
// Time is the card's own: virtual, so that a launch of a second costs nothing and takes exactly a
// second on the card's clock, or real, where the workers burn CPU time (a card that can be shared,
// starved and frozen like any other).
// Lock: mu_ guards streams and tasks; work and callbacks run without it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "flexai/base/clock.h"
#include "flexai/fake/arena.h"

namespace flexai::fake {

/// What the card is like. Each member has its environment variable; docs are in the README.
struct CardConfig {
  uint64_t memory_bytes = uint64_t{1} << 30;  // FLEXAI_FAKE_MEMORY
  uint32_t compute_units = 2;                 // FLEXAI_FAKE_UNITS
  bool spin = false;                          // FLEXAI_FAKE_SPIN: burn real CPU time
  Nanos launch_ns = 10 * kMicrosecond;        // FLEXAI_FAKE_LAUNCH_NS: card time of a launch,
  Nanos item_ns = 1;                          // FLEXAI_FAKE_ITEM_NS: and of each work item
  uint64_t alignment = 256;

  static CardConfig FromEnvironment();
};

/// One command on its way through the card, or an event that the application sets.
/// Thread: read through Card, which locks.
struct Task {
  enum class State : uint8_t { kQueued, kRunning, kDone };

  std::function<int64_t()> work;  // 0, or the vendor's error code
  Nanos cost = 0;                 // card time; shared among the compute units
  bool compute = false;           // uses compute units, as launches do
  int64_t code_if_dependency_failed = 0;

  State state = State::kQueued;
  int64_t code = 0;  // after kDone: 0, or the vendor's error code
  Nanos queued_at = 0, started_at = 0, ended_at = 0;

  // The engine's own.
  bool manual = false;
  uint32_t waits_for = 0, chunks = 1, claimed = 0, finished = 0;
  Nanos ready_at = 0;
  struct Next {
    std::shared_ptr<Task> task;
    bool takes_failure;  // it was told to wait for this one, and does not just come after it
  };
  std::vector<Next> next;
  std::vector<std::function<void(int64_t)>> when_done;
};
using TaskPtr = std::shared_ptr<Task>;

/// An in-order stream; what it remembers is its last task.
struct Stream {
  TaskPtr last;
};

/// Thread: any.
class Card {
 public:
  explicit Card(const CardConfig& config);
  /// Waits for the workers; streams should be idle.
  ~Card();
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;

  /// Those of this process, by number; each is made from the environment at first use and never
  /// destroyed: its workers may outlive main.
  static Card& Instance(int number = 0);

  const CardConfig& config() const { return config_; }
  Arena& arena() { return arena_; }

  /// Starts the workers; without it the first Submit does. They inherit the caller's name and
  /// signal mask.
  void Start();

  /// Card time of a launch of `items` work items, over all compute units.
  Nanos CostOf(uint64_t items) const;

  /// Puts `task` at the end of `stream`, behind `after` too.
  void Submit(Stream& stream, const TaskPtr& task, const std::vector<TaskPtr>& after);
  /// A task that ends when Complete is called.
  TaskPtr NewManual();
  /// False if it had ended before.
  bool Complete(const TaskPtr& task, int64_t code);

  /// Blocks until the task has ended; its code.
  int64_t Wait(const TaskPtr& task);
  /// Blocks until everything that `stream` has been given is done.
  void Drain(Stream& stream);
  /// Calls `then` with the task's code once it has ended, at once if it has; on any thread.
  void WhenDone(const TaskPtr& task, std::function<void(int64_t)> then);
  /// A copy of what is known of a task now.
  Task Look(const TaskPtr& task) const;

  /// Stops the compute units where they are, and lets them go on: what a lever of the driver does.
  void Stop(bool stop);
  /// Waits while they are stopped: for a task's work that takes its own time.
  void PassStop();

  /// The card's clock. Virtual time moves only by work.
  Nanos Now() const;
  /// Card time that tasks have taken so far, all units together counted once.
  Nanos BusyTime() const;

 private:
  void StartWorkersLocked();
  void Work();
  void Burn(Nanos cpu_time);
  void BeginLocked(Task& task);
  using Callbacks = std::vector<std::function<void(int64_t)>>;
  Callbacks EndLocked(const TaskPtr& task, int64_t code);
  void ReadyLocked(const TaskPtr& task);
  Nanos NowLocked() const;

  const CardConfig config_;
  Arena arena_;
  mutable std::mutex mu_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<TaskPtr> ready_;
  std::vector<pthread_t> workers_;
  bool stopping_ = false;
  std::atomic<bool> stopped_{false};  // changed with mu_ held
  Nanos virtual_now_ = kSecond;       // not 0, which programs take for "no time"
  Nanos units_free_at_ = 0;
  Nanos busy_ = 0;
};

}  // namespace flexai::fake
