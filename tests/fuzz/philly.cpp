// The reader of Philly lists: whatever the text, every row is taken, left out or listed as bad, and
// what is taken can be queued.
#include "flexai/schedule/sim/philly.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "flexai/schedule/sim/queueing.h"

using namespace flexai::schedule;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const sim::Pool pools[] = {{"a", 2}, {"b", 1}};
  const auto list = sim::ReadPhillyJobs(text, pools, 0, INT64_MAX);
  if (!list.ok() || list->jobs.size() > 100) return 0;
  for (const sim::QueueRules& rules : sim::QueuePolicies()) {
    const auto result = sim::SimulateQueue(pools, list->jobs, rules);
    if (!result.ok() || result->queue_s.size() + result->refused != list->jobs.size()) abort();
    for (const int64_t queue : result->queue_s) {
      if (queue < 0) abort();
    }
    if (rules.suspend && result->late_heads > 0) abort();
  }
  return 0;
}
