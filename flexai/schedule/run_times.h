// How long jobs run, learnt from those that ended: quantiles of the narrowest kind of job of which
// enough have ended. What is kept is bounded, however many users there are.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "flexai/schedule/queues.h"

namespace flexai::schedule {

/// What is known of a job before it runs.
struct RunKind {
  static constexpr uint32_t kAnyCards = UINT32_MAX;
  uint32_t user = 0;   // 0: unknown
  uint32_t image = 0;  // 0: unknown
  QueueId queue = kRoot;
  uint32_t cards = kAnyCards;  // of all its tasks; kAnyCards: unknown

  bool operator==(const RunKind&) const = default;
};

class RunTimes {
 public:
  /// Jobs that have to have ended before a kind is believed.
  static constexpr uint32_t kEnough = 5;
  /// Kinds that are remembered, about 420 bytes each: 7 MB in all. Beyond them the one goes of
  /// which none has ended for longest.
  static constexpr size_t kMostKinds = 16'384;

  explicit RunTimes(size_t most_kinds = kMostKinds) : most_kinds_(most_kinds) {}
  RunTimes(const RunTimes&) = delete;
  RunTimes& operator=(const RunTimes&) = delete;

  /// One job of the kind ended. Costs the same however many ended before.
  void Learn(const RunKind& kind, int64_t run_s);

  /// The time within which `permille` of the jobs like it ended, rounded up by at most a quarter; 0
  /// when nobody knows. Like it are, as soon as there are enough, those with the same user, image
  /// and cards; user and image; user and cards; user; image and cards; image; queue and cards;
  /// queue; cards; all.
  int64_t Estimate(const RunKind& kind, int permille) const;

  size_t kinds() const { return seen_.size(); }

 private:
  // Four buckets for each doubling of the time.
  static constexpr size_t kBuckets = 4 * 40;
  struct Key {
    uint8_t fields = 0;  // which of the kind's fields count; the others are 0
    RunKind kind;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  struct Seen {
    Key key;
    uint32_t jobs = 0;
    std::array<uint16_t, kBuckets> buckets{};
  };

  static bool Narrow(const RunKind& kind, uint8_t fields, Key* key);
  static void Count(Seen* seen, int64_t run_s);

  size_t most_kinds_;
  std::list<Seen> seen_;  // of which a job ended last stands last
  std::unordered_map<Key, std::list<Seen>::iterator, Hash> where_;
};

}  // namespace flexai::schedule
