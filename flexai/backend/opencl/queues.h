// Which calls fill and empty the process's command queues: what puts work on the card, and what
// waits for it. A queue may also be asked, by a marker of ours behind what is in it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "flexai/backend/opencl/doors.h"
#include "flexai/intercept/call.h"
#include "flexai/slice/queue_watch.h"

namespace flexai::backend::opencl {

/// Thread: any, many at a time.
class Queues {
 public:
  explicit Queues(slice::QueueWatch* watch);

  /// Whether Before and After want to see the function.
  bool Watches(const intercept::FnInfo& info) const;
  void Before(intercept::Call& call);
  void After(intercept::Call& call);
  /// A command queue was made.
  void Made(uint64_t queue);
  /// In a fork's child: nothing is on its way. What the watch shows is forgotten by the tenant.
  void Forget();
  /// Something told that the command behind `event` is complete.
  void Complete(uint64_t event);

 private:
  enum class Does : uint8_t {
    kNothing,
    kEnqueue,
    kMark,  // its event is behind all that is in the queue
    kFinish,
    kWaitForEvents,
    kAskEvent,
    kCallBack,
    kChangeQueue,
    kRetainQueue,
    kReleaseQueue,
  };
  struct Queue {
    uint32_t references;
    bool in_order;
  };

  static Does Learn(const intercept::FnInfo& info);
  static bool IsInOrder(uint64_t queue);
  bool InOrder(uint64_t queue);
  void Enqueued(intercept::Call& call);
  void Retain(uint64_t queue);
  void Release(uint64_t queue);
  bool PutBehind(uint64_t queue, uint32_t at, uint64_t launches);
  void AskForOthers();

  slice::QueueWatch* watch_;
  std::array<Does, api::kFunctionCount> does_ = {};
  std::atomic<bool> some_out_of_order_{false};
  std::atomic<Nanos> asked_at_{0};
  // Places of the watch with a marker of ours on its way.
  std::array<std::atomic<bool>, slice::QueueWatch::kQueues> asking_ = {};
  std::mutex mu_;                               // guards queues_: who is asked does not go away
  std::unordered_map<uint64_t, Queue> queues_;  // those that the program holds
};

}  // namespace flexai::backend::opencl
