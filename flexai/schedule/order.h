// Whose turn it is: walks all gangs that wait, each next one from the queue that is owed most.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// From the root down, of the queues that have something waiting: those below their quota first,
/// then the higher priority, then the one that has the smallest part of what it is due, then the
/// first. Within a queue: priority, then age. A queue's own gangs come before those of its
/// children.
class Order {
 public:
  explicit Order(const Session* session);

  /// The next gang, or nothing. It is handed out once.
  std::optional<GangId> Next();
  /// The queue's use has changed: it and those above take another place.
  void Update(QueueId queue);

 private:
  using Key = std::tuple<bool, int64_t, int64_t, QueueId>;
  Key KeyOf(QueueId queue) const;
  void Insert(QueueId queue);
  void Erase(QueueId queue);

  const Session* session_;
  std::vector<std::set<Key>> children_;  // of each queue: those with something waiting below
  std::vector<Key> keys_;
  std::vector<size_t> next_;  // of each queue: its own gangs already handed out
};

}  // namespace flexai::schedule
