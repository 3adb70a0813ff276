// Whether the work that this process has queued on the card is done, as far as its own calls tell:
// a launch fills a queue, and a wait that returns, or an answer that all is done, empties it. The
// daemon gives the card on as soon as the tenant that has it has nothing to do.
// What is told is safe to be wrong in one direction: a queue that nobody waits for counts as full.
#pragma once

#include <atomic>
#include <cstdint>

#include "flexai/base/clock.h"

namespace flexai::slice {

/// Thread: any, many at a time. A launch costs two atomic operations; nothing here waits.
class alignas(64) QueueWatch {
 public:
  /// Bits of the word that is shown: a queue each, all others together, and that we tell at all.
  static constexpr uint32_t kQueues = 16;
  static constexpr uint32_t kOthers = 1u << kQueues;
  static constexpr uint32_t kTells = 1u << 31;
  static constexpr uint32_t kFull = kOthers | (kOthers - 1);

  /// From now on the word is `word`, and the moment at which all became empty goes to `emptied_at`.
  /// Thread: one, with no other call of this object under way that matters.
  void Show(std::atomic<uint32_t>* word, std::atomic<Nanos>* emptied_at);
  /// In a fork's child: nothing is queued, and nothing is shown.
  void Forget();

  /// `queue` is any number that names it; `group` is whoever it belongs to, so that a wait for all
  /// of one group empties no other's. False: there is no place for it, and LaunchedElsewhere shall
  /// follow.
  bool Launched(uint64_t queue, uint64_t group = 0) {
    int at = Find(queue);
    if (at < 0) [[unlikely]] {
      if ((at = Take(queue, group)) < 0) return false;
    }
    // Counted first, then shown: a wait that has just returned clears the bit first, then looks at
    // the count. So one of the two sees the other, and the bit stays set.
    queues_[at].launches.fetch_add(1, std::memory_order_seq_cst);
    Fill(1u << at);
    return true;
  }
  /// Launched follows soon: what it looks at last is fetched meanwhile.
  void Expect() const { __builtin_prefetch(word_.load(std::memory_order_relaxed)); }
  /// The work of all that found no place counts as one queue's.
  void LaunchedElsewhere();

  /// Before a wait for one queue; what it returns is for Waited, which is called if the wait says
  /// that all is done.
  uint64_t Before(uint64_t queue) const;
  void Waited(uint64_t queue, uint64_t before);
  /// The same for a wait for everything; both on one thread.
  void BeforeAll() const;
  void WaitedAll();
  /// For a wait for all of one group. What found no place stays full: nobody knows whose it is.
  void WaitedGroup(uint64_t group);

  /// The queue's name may name another from now on; the work in it goes on. Returns its place if it
  /// has work, and -1 otherwise.
  int Unnamed(uint64_t queue);
  /// All of a group went away with the work in it, or everything did.
  void GroupGone(uint64_t group);
  void AllGone();

  /// What a place (below kQueues) holds, if it has work as far as is known.
  struct Work {
    uint64_t queue;  // kNoName: Unnamed
    uint64_t group;
    uint64_t launches;
  };
  static constexpr uint64_t kNoName = ~uint64_t{0} - 1;
  bool IsFull(uint32_t at, Work* work) const;
  /// It is done, if nothing came after `launches`.
  void Done(uint32_t at, uint64_t launches) { Empty(static_cast<int>(at), launches); }

  /// Whether any queue has work as far as is known, and how often one got some.
  bool IsFull() const;
  uint64_t launches() const;

  /// Whether there is such work, as far as is known: until DoneElsewhere with these `launches`.
  bool IsFullElsewhere(uint64_t* launches) const;
  /// Whether it is the only work that there is.
  bool IsFullOnlyElsewhere() const;
  void DoneElsewhere(uint64_t launches);

  /// A mark was put behind what is in `queue`; a wait for the mark is a wait for that.
  void Marked(uint64_t mark, uint64_t queue);
  void WaitedFor(uint64_t mark);

 private:
  struct alignas(32) Queue {  // in one line of the cache
    std::atomic<uint64_t> name{0};
    std::atomic<uint64_t> group{0};
    std::atomic<uint64_t> launches{0};
  };
  struct Mark {
    std::atomic<uint64_t> check{0};  // name of the mark, mixed with `at`
    std::atomic<uint64_t> at{0};     // place of the queue and its launches
  };

  static uint32_t Hash(uint64_t name) {
    return static_cast<uint32_t>((name * 0x9e3779b97f4a7c15u) >> 40);
  }
  // 0 says that a place is free.
  static uint64_t NameOf(uint64_t queue) { return queue + 1; }

  int Find(uint64_t queue) const {
    const uint32_t begin = Hash(queue);
    for (uint32_t i = 0; i < kQueues; ++i) {
      const uint32_t at = (begin + i) % kQueues;
      const uint64_t name = queues_[at].name.load(std::memory_order_relaxed);
      if (name == NameOf(queue)) return static_cast<int>(at);
      if (name == 0) return -1;
    }
    return -1;
  }
  int Take(uint64_t queue, uint64_t group);
  void Empty(int queue, uint64_t launches);
  void Fill(uint32_t bit) {
    std::atomic<uint32_t>& word = *word_.load(std::memory_order_acquire);
    if ((word.load(std::memory_order_seq_cst) & bit) == 0) {
      word.fetch_or(bit, std::memory_order_seq_cst);
    }
  }
  void Clear(uint32_t bits);
  Mark& MarkAt(uint64_t mark);

  std::atomic<uint32_t> own_word_{0};
  std::atomic<Nanos> own_emptied_at_{0};
  std::atomic<std::atomic<uint32_t>*> word_{&own_word_};
  std::atomic<std::atomic<Nanos>*> emptied_at_{&own_emptied_at_};
  Queue queues_[kQueues];
  Mark marks_[64];
  std::atomic<uint64_t> other_launches_{0};
};

}  // namespace flexai::slice
