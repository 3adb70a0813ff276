// Work that a program launched and never waits for would count as unfinished for ever, though the
// card has long done it: a notebook between two cells would keep its share from others. So where
// queues stay full and nothing is launched, the driver is asked, on a thread of its own: an answer
// may wait for a lock that a launch holds, which itself waits until the slice has the card, and the
// agent must not wait for that.
#pragma once

#include <atomic>
#include <cstdint>

#include "flexai/base/clock.h"
#include "flexai/slice/queue_watch.h"

namespace flexai::slice {

class Asker {
 public:
  /// Tells the watch which queues are done, as far as the driver says now. May take long.
  using Ask = void (*)(void* self);

  Asker(const QueueWatch* watch, Ask ask, void* self) : watch_(watch), ask_(ask), self_(self) {}
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  /// Has the driver asked if that is due; returns at once. To be called several times a second.
  /// Thread: the agent's.
  void Look(Nanos now);
  /// The process ends: no question follows, and none is under way unless the driver keeps it.
  void Stop();
  /// In the child of a fork, where the thread does not exist.
  void Forget();

 private:
  static void* Main(void* self);
  void Run();

  const QueueWatch* watch_;
  Ask ask_;
  void* self_;
  uint64_t launches_ = 0;  // as seen last; with what follows the agent's alone
  Nanos due_ = 0;
  Nanos pause_ = 0;
  bool runs_ = false;
  std::atomic<uint32_t> wanted_{0};  // rises with each question
  std::atomic<bool> asking_{false};
  std::atomic<bool> ending_{false};
};

}  // namespace flexai::slice
