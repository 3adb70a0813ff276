// Memory that the threads of kernels have for themselves: their stacks, and what does not fit into
// registers ("local memory"). A context has room for as many threads as its card runs at once. The
// driver makes more room, and keeps it, before the first launch of a kernel whose threads need
// more, and when a graph with such a kernel is made executable (measured on an H100). What a
// kernel's threads need is known as soon as a program has the kernel.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "flexai/backend/cuda/exported.h"
#include "flexai/backend/cuda/kernel_set.h"
#include "flexai/intercept/call.h"

namespace flexai::backend::cuda {

/// Of one card. Which kernels there are is known to all cards of the process.
/// Units: bytes. Thread: any, many at a time.
class ThreadMemory {
 public:
  /// Looks up what the kernels need that `call` has given to the program. Whether it did not have
  /// one of them before.
  static bool Learn(const intercept::Call& call);
  /// A module or library goes: the handles of its kernels may come to name others, unheard.
  static void ForgetCode(uint64_t code);
  /// What a thread of a graph's kernels needs at most, where some kernel needs more than a context
  /// has from the start, or than there is: programs change graphs in each of their steps.
  uint64_t NeedToKnow(api::CUgraph graph) const {
    const bool much = most_needed_.load(std::memory_order_relaxed) > kFirstRoom;
    return much || MayGrow() ? NeedOf(graph) : 0;
  }

  /// Whether a kernel may need more room than there is, as far as is known.
  bool MayGrow() const {
    const uint64_t most = most_needed_.load(std::memory_order_relaxed);
    return most != 0 && most >= room_.load(std::memory_order_relaxed);
  }
  /// Those that may.
  KernelSet Needing();
  bool IsKnown() const { return room_.load(std::memory_order_relaxed) != 0; }
  /// What a launch of `kernel` in the current context takes at most; 0: there is room for it.
  uint64_t GrowthFor(uint64_t kernel);
  /// The same of a graph that is made executable.
  uint64_t GrowthFor(api::CUgraph graph);
  /// The same of a kernel whose threads need `each`.
  uint64_t GrowthForNeed(uint64_t each) {
    return MayGrow() && each > KnownRoom() ? GrowthTo(each) : 0;
  }
  /// The same of room for `each` thread.
  uint64_t GrowthTo(uint64_t each);

  /// The driver has made the room that the last GrowthFor of this thread was about.
  void Made();
  /// The program has said how much room the current context has.
  void Set();
  /// The room of the current context, which is the card's only one, may be another now.
  void Look();
  /// Nothing is known of the room in whatever context; it is looked for where it matters.
  void Forget() { room_.store(0, std::memory_order_relaxed); }
  /// The context has ended, and its functions with it.
  void Forget(uint64_t context);

 private:
  static constexpr uint64_t kFirstRoom = 1024;

  static uint64_t NeedOf(api::CUgraph graph);
  std::optional<uint64_t> Room();
  uint64_t KnownRoom() const {
    const uint64_t room = room_.load(std::memory_order_relaxed);
    return room == 0 ? 0 : room - 1;
  }

  static constinit std::atomic<uint64_t> most_needed_;  // by a thread of any kernel
  std::atomic<uint64_t> room_{0};                       // for each thread, plus 1; 0 = not known
  std::mutex mu_;                                       // guards what follows
  std::map<uint64_t, uint64_t> made_;  // by context: room that was made for kernels
};

}  // namespace flexai::backend::cuda
