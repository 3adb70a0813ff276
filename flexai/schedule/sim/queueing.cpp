#include "flexai/schedule/sim/queueing.h"

#include <algorithm>
#include <array>
#include <string>

#include "flexai/schedule/sim/cycle_queue.h"
#include "flexai/schedule/sim/pool_queue.h"

namespace flexai::schedule::sim {
namespace {

constexpr std::array<QueueRules, 6> kPolicies = {{
    {.name = "flexai", .cycle = true},
    {.name = "fifo"},
    {.name = "fifo-skip", .skip = true},
    {.name = "sjf", .order = QueueRules::Order::kRunTime},
    {.name = "srtf", .order = QueueRules::Order::kTimeLeft, .skip = true, .suspend = true},
    {.name = "backfill", .skip = true, .reserve = true},
}};

}  // namespace

std::span<const QueueRules> QueuePolicies() { return kPolicies; }

Result<QueueRules> FindQueuePolicy(std::string_view name) {
  std::string names;
  for (const QueueRules& rules : kPolicies) {
    if (rules.name == name) return rules;
    names += (names.empty() ? "" : ", ") + std::string(rules.name);
  }
  return Status(Code::kInvalidArgument, "no policy '" + std::string(name) + "'",
                "the policies are " + names);
}

Result<QueueingResult> SimulateQueue(std::span<const Pool> pools, std::span<const TimedJob> jobs,
                                     const QueueRules& rules) {
  for (const TimedJob& job : jobs) {
    if (job.pool < pools.size() && job.cards > 0) continue;
    return Status(Code::kInvalidArgument, "a job is of a pool that is not listed, or of no cards");
  }
  if (rules.cycle) return CycleQueue(pools, jobs).Run();
  PoolQueue queue(pools, jobs, rules);
  FLEXAI_RETURN_IF_ERROR(queue.Run());
  return queue.Take();
}

}  // namespace flexai::schedule::sim
