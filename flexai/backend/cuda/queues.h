// Which calls fill and empty the process's streams: launches, what else keeps compute engines busy,
// and waits, with the streams that they are about. What is captured into a graph runs nowhere yet.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "flexai/backend/cuda/exported.h"
#include "flexai/backend/cuda/kernel_set.h"
#include "flexai/backend/cuda/other_streams.h"
#include "flexai/intercept/call.h"
#include "flexai/slice/queue_watch.h"

namespace flexai::backend::cuda {

/// Thread: any, many at a time.
class alignas(64) Queues {
 public:
  explicit Queues(slice::QueueWatch* watch);

  /// Before a launch. Whether Launched matters after it.
  bool Launches(intercept::Call& call);
  /// Whether the stream's name is all that need be known before a launch, because the process has
  /// one context, nothing is captured and the launch takes no memory; and that name, of the one
  /// that the call gives it.
  bool LaunchesShort(uint16_t index, uint64_t kernel, uint64_t* stream) const {
    if (several_.load(std::memory_order_relaxed) ||
        captures_.load(std::memory_order_relaxed) != 0 || IsAskedAbout(kernel)) {
      return false;
    }
    *stream = NameIn(index, *stream);
    return true;
  }
  /// Which kernels' launches may take memory, as far as is known.
  void AskAboutLaunches(KernelSet kernels) {
    asked_about_.store(kernels.bits, std::memory_order_relaxed);
  }
  /// Whether the process has, or had, several contexts at once.
  bool HasSeveral() const { return several_.load(std::memory_order_relaxed); }
  /// After Launches, on the same thread.
  void Launched() {
    if (t_elsewhere_) Arrived();
  }
  /// Whether Before and After want to see the function.
  bool Watches(const intercept::FnInfo& info) const;
  bool WaitsForEvent(const intercept::FnInfo& info) const;
  /// The context of the stream that the call names; 0: it names none.
  uint64_t ContextOf(const intercept::Call& call) const;
  void Before(intercept::Call& call);
  /// `ok`: the call worked.
  void After(intercept::Call& call, bool ok);
  /// By which number the books of memory know a context, and the current one: 0 is the first, which
  /// is the only one of most programs, and for which the driver need not be asked.
  uint64_t KeyOf(uint64_t context) const { return HasSeveral() ? GroupOf(context) : 0; }
  uint64_t CurrentKey() const;
  /// Asks the driver about all that has work as far as is known. Thread: one of our own, on which
  /// no context is current.
  void AskUnwaited();
  /// A context was made, or came to be used.
  void ContextMade(uint64_t context);
  /// A context ended, and with it all work in it.
  void ContextGone(uint64_t context);

 private:
  enum class Does : uint8_t {
    kNothing,
    kFill,           // work that is no launch: it is never gated
    kWaitForStream,  // or asks whether it is done
    kWaitForEvent,
    kWaitForAll,
    kRecordEvent,
    kBeginCapture,
    kEndCapture,
    kDestroyStream,
    kDestroyContext,
  };
  // What is known of one of the driver's functions.
  struct Function {
    Does does = Does::kNothing;
    bool per_thread = false;
  };

  // Handles that are no objects: the default stream of the context, and that of the thread.
  static constexpr uint64_t kLegacy = 1;
  static constexpr uint64_t kPerThread = 2;

  static Does Learn(const char* name);
  struct Queue {
    uint64_t name, group;
  };
  Queue QueueIn(const intercept::Call& call) const;
  // Where the process has one context.
  uint64_t NameIn(uint16_t index, uint64_t stream) const {
    if (stream > kPerThread) [[likely]]
      return stream;
    const bool own = stream == kPerThread || (stream == 0 && functions_[index].per_thread);
    return own ? OwnStream() : kLegacy;
  }
  static uint64_t OwnStream();
  bool IsAskedAbout(uint64_t kernel) const {
    const KernelSet set = {asked_about_.load(std::memory_order_relaxed)};
    return set.bits != 0 && set.MayHave(kernel);
  }
  static bool IsHandle(uint64_t queue) { return queue > kPerThread && queue % 2 == 0; }
  uint64_t GroupOf(uint64_t context) const;
  void LaunchesElsewhere(Queue queue);
  static void Arrived();
  void Abandon(Queue queue);
  void AbandonElsewhere(Queue queue, bool is_done);
  bool IsDone(uint64_t queue, uint64_t group) const;
  bool IsCaptured(uint64_t queue) const;
  void Capture(uint64_t queue, bool begin);
  void AskForOthers();
  void AskForPlaces();
  void AskElsewhere();

  // What every launch reads lies together.
  slice::QueueWatch* watch_;
  std::atomic<uint32_t> captures_{0};
  // By these a queue's group is found: 0 is the first context's, and all that most programs have.
  std::atomic<bool> several_{false};
  std::atomic<uint64_t> asked_about_{0};  // KernelSet
  std::atomic<uint64_t> first_context_{0};
  std::array<Function, api::kFunctionCount> functions_ = {};
  std::atomic<uint64_t> captured_[8] = {};
  std::atomic<Nanos> asked_at_{0};
  // By whom the calling thread launches to a stream that found no place, until the driver has it.
  static inline thread_local Queues* t_elsewhere_ __attribute__((tls_model("initial-exec"))) =
      nullptr;
  std::atomic<uint32_t> under_way_{0};  // such launches; rises only with ask_mu_ held
  std::mutex ask_mu_;  // guards what follows; who is asked about does not go away meanwhile
  bool without_context_ = false;  // who asks has none current, and may make any so
  // Calls under way that may end a context or begin a capture: nobody asks meanwhile.
  uint32_t hindrances_ = 0;
  // Behind the work of a stream that was destroyed before it was done, and whose stream it was.
  struct Behind {
    api::CUevent event = nullptr;
    uint64_t group = 0;
  };
  std::array<Behind, slice::QueueWatch::kQueues> behind_;  // by place of the watch
  OtherStreams others_;
};

}  // namespace flexai::backend::cuda
