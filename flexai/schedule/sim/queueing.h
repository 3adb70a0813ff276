// Jobs that come, wait, run and end in pools of whole cards: how long a policy lets them wait.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/sim/philly.h"

namespace flexai::schedule::sim {

/// What tells one policy of queueing from another.
struct QueueRules {
  enum class Order {
    kArrival,
    kRunTime,   // the true one, which no scheduler knows
    kTimeLeft,  // likewise
  };
  std::string_view name;
  Order order = Order::kArrival;
  bool skip = false;     // who has no room lets others pass
  bool reserve = false;  // but keeps nodes, on which nobody may hold it up
  bool suspend = false;  // who comes later in the order makes room, and goes on later at no cost
  bool cycle = false;    // by the scheduler's own rounds (actions.h); none of the above counts
};

/// What all of them share. Units: seconds, permille.
inline constexpr uint32_t kPoolNodeCards = 8;
inline constexpr int64_t kBacklogEvery = 6 * 3600;
/// Who is let past a reservation is believed to end within the time in which so many like it did.
inline constexpr int kSafePermille = 900;

/// In the order in which tables show them.
std::span<const QueueRules> QueuePolicies();

/// Errors: kInvalidArgument (no policy of queueing has this name).
Result<QueueRules> FindQueuePolicy(std::string_view name);

struct Backlog {
  int64_t at_s = 0;  // since the first of 1970
  uint64_t waiting = 0;
};

struct QueueingResult {
  std::vector<int64_t> queue_s;  // of each job that ended: all the time in which it did not run
  double mean_jct_s = 0;         // from submission to the end
  uint64_t refused = 0;          // jobs larger than their pool
  uint64_t suspensions = 0;
  uint64_t reservations = 0;  // heads of a queue for which nodes were kept
  uint64_t late_heads = 0;    // of these, held up by a job that was started after them
  int64_t longest_late_s = 0;
  std::vector<Backlog> backlog;  // every six hours
};

/// `jobs` by time of submission; a job of more than 8 cards takes whole nodes and a part of one.
/// Errors: kInvalidArgument (a job's pool is not listed); kInternal (a place without room).
Result<QueueingResult> SimulateQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs,
                                     const QueueRules& rules);

}  // namespace flexai::schedule::sim
