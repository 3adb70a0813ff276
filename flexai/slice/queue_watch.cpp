#include "flexai/slice/queue_watch.h"

#include <bit>

namespace flexai::slice {
namespace {

// What BeforeAll saw, for WaitedAll on the same thread: who had work, and how often each had got
// some. Of the others nothing is to be emptied.
thread_local uint32_t t_full __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint64_t t_seen[QueueWatch::kQueues + 1]
    __attribute__((tls_model("initial-exec"))) = {};

template <class F>
void ForEachPlace(uint32_t full, F f) {
  for (full &= QueueWatch::kOthers - 1; full != 0; full &= full - 1) f(std::countr_zero(full));
}

constexpr uint64_t kNothing = ~uint64_t{0};
constexpr int kLaunchBits = 58;
constexpr uint64_t kLaunchMask = (uint64_t{1} << kLaunchBits) - 1;

}  // namespace

void QueueWatch::Show(std::atomic<uint32_t>* word, std::atomic<Nanos>* emptied_at) {
  const uint32_t so_far = word_.load(std::memory_order_relaxed)->load(std::memory_order_relaxed);
  word->store(so_far | kTells, std::memory_order_relaxed);
  emptied_at_.store(emptied_at, std::memory_order_release);
  word_.store(word, std::memory_order_release);
}

void QueueWatch::Forget() {
  own_word_.store(0, std::memory_order_relaxed);
  word_.store(&own_word_, std::memory_order_relaxed);
  emptied_at_.store(&own_emptied_at_, std::memory_order_relaxed);
}

// A place once used stays taken, but for another queue as soon as its own is empty.
int QueueWatch::Take(uint64_t queue, uint64_t group) {
  const uint32_t begin = Hash(queue);
  const uint32_t full = word_.load(std::memory_order_acquire)->load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < kQueues; ++i) {
    const uint32_t at = (begin + i) % kQueues;
    uint64_t name = queues_[at].name.load(std::memory_order_relaxed);
    if (name == NameOf(queue)) return static_cast<int>(at);
    if (name != 0 && (full & (1u << at)) != 0) continue;
    if (!queues_[at].name.compare_exchange_strong(name, NameOf(queue))) continue;
    queues_[at].group.store(group, std::memory_order_relaxed);
    return static_cast<int>(at);
  }
  return -1;
}

void QueueWatch::LaunchedElsewhere() {
  other_launches_.fetch_add(1, std::memory_order_seq_cst);
  Fill(kOthers);
}

[[gnu::hot]] uint64_t QueueWatch::Before(uint64_t queue) const {
  const int at = Find(queue);
  return at < 0 ? kNothing : queues_[at].launches.load(std::memory_order_seq_cst);
}

[[gnu::hot]] void QueueWatch::Waited(uint64_t queue, uint64_t before) {
  const int at = before == kNothing ? -1 : Find(queue);
  if (at >= 0) Empty(at, before);
}

void QueueWatch::BeforeAll() const {
  t_full = word_.load(std::memory_order_acquire)->load(std::memory_order_seq_cst) & kFull;
  ForEachPlace(t_full, [this](int at) {
    t_seen[at] = queues_[at].launches.load(std::memory_order_seq_cst);
  });
  if (t_full & kOthers) t_seen[kQueues] = other_launches_.load(std::memory_order_seq_cst);
}

void QueueWatch::WaitedAll() {
  ForEachPlace(t_full, [this](int at) { Empty(at, t_seen[at]); });
  if (t_full & kOthers) DoneElsewhere(t_seen[kQueues]);
}

void QueueWatch::DoneElsewhere(uint64_t launches) {
  if (other_launches_.load(std::memory_order_seq_cst) != launches) return;
  Clear(kOthers);
  if (other_launches_.load(std::memory_order_seq_cst) == launches) return;
  word_.load(std::memory_order_acquire)->fetch_or(kOthers, std::memory_order_seq_cst);
}

void QueueWatch::WaitedGroup(uint64_t group) {
  ForEachPlace(t_full, [this, group](int at) {
    if (queues_[at].group.load(std::memory_order_relaxed) == group) Empty(at, t_seen[at]);
  });
}

// The name goes, its bit stays: waits for marks and for everything still find the place.
int QueueWatch::Unnamed(uint64_t queue) {
  const int at = Find(queue);
  Work work;
  if (at < 0 || !IsFull(static_cast<uint32_t>(at), &work)) return -1;
  queues_[at].name.store(NameOf(kNoName), std::memory_order_relaxed);
  return at;
}

void QueueWatch::GroupGone(uint64_t group) {
  for (uint32_t i = 0; i < kQueues; ++i) {
    if (queues_[i].group.load(std::memory_order_relaxed) == group) Clear(1u << i);
  }
}

void QueueWatch::AllGone() { Clear(kFull); }

bool QueueWatch::IsFull(uint32_t at, Work* work) const {
  const uint32_t word = word_.load(std::memory_order_acquire)->load(std::memory_order_seq_cst);
  if ((word & (1u << at)) == 0) return false;
  work->launches = queues_[at].launches.load(std::memory_order_seq_cst);
  work->group = queues_[at].group.load(std::memory_order_relaxed);
  work->queue = queues_[at].name.load(std::memory_order_relaxed) - 1;
  return true;
}

bool QueueWatch::IsFull() const {
  const uint32_t word = word_.load(std::memory_order_acquire)->load(std::memory_order_relaxed);
  return (word & kFull) != 0;
}

uint64_t QueueWatch::launches() const {
  uint64_t sum = other_launches_.load(std::memory_order_relaxed);
  for (const Queue& queue : queues_) sum += queue.launches.load(std::memory_order_relaxed);
  return sum;
}

bool QueueWatch::IsFullElsewhere(uint64_t* launches) const {
  const uint32_t word = word_.load(std::memory_order_acquire)->load(std::memory_order_seq_cst);
  *launches = other_launches_.load(std::memory_order_seq_cst);
  return (word & kOthers) != 0;
}

bool QueueWatch::IsFullOnlyElsewhere() const {
  const uint32_t word = word_.load(std::memory_order_acquire)->load(std::memory_order_relaxed);
  return (word & kFull) == kOthers;
}

[[gnu::hot]] void QueueWatch::Empty(int queue, uint64_t launches) {
  std::atomic<uint64_t>& count = queues_[queue].launches;
  if (count.load(std::memory_order_seq_cst) != launches) return;
  Clear(1u << queue);
  if (count.load(std::memory_order_seq_cst) == launches) return;
  word_.load(std::memory_order_acquire)->fetch_or(1u << queue, std::memory_order_seq_cst);
}

[[gnu::hot]] void QueueWatch::Clear(uint32_t bits) {
  std::atomic<uint32_t>& word = *word_.load(std::memory_order_acquire);
  if ((word.load(std::memory_order_relaxed) & bits) == 0) return;
  // The moment first: whoever sees that all is empty asks since when.
  if ((word.load(std::memory_order_relaxed) & kFull & ~bits) == 0) {
    emptied_at_.load(std::memory_order_acquire)->store(MonotonicNow(), std::memory_order_release);
  }
  word.fetch_and(~bits, std::memory_order_seq_cst);
}

QueueWatch::Mark& QueueWatch::MarkAt(uint64_t mark) {
  return marks_[Hash(mark) % (sizeof marks_ / sizeof marks_[0])];
}

// Two that write one place at once leave a check that fits neither.
void QueueWatch::Marked(uint64_t mark, uint64_t queue) {
  const int at = Find(queue);
  const uint64_t where =
      at < 0 ? kNothing
             : (static_cast<uint64_t>(at) << kLaunchBits) |
                   (queues_[at].launches.load(std::memory_order_seq_cst) & kLaunchMask);
  Mark& place = MarkAt(mark);
  place.at.store(where, std::memory_order_relaxed);
  place.check.store(mark ^ where, std::memory_order_relaxed);
}

void QueueWatch::WaitedFor(uint64_t mark) {
  const Mark& place = MarkAt(mark);
  const uint64_t where = place.at.load(std::memory_order_relaxed);
  if (where == kNothing || (place.check.load(std::memory_order_relaxed) ^ where) != mark) return;
  Empty(static_cast<int>(where >> kLaunchBits), where & kLaunchMask);
}

}  // namespace flexai::slice
