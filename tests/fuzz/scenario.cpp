// The reader of scenarios: whatever the text, a block is taken or listed as bad, and what is taken
// can be played.
#include "flexai/schedule/sim/scenario.h"

#include <cstdint>
#include <string_view>

#include "flexai/schedule/sim/scenario_run.h"

using namespace flexai::schedule;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto scenario = sim::ReadScenario({reinterpret_cast<const char*>(data), size});
  if (!scenario.ok() || scenario->nodes.size() > 50 || scenario->jobs.size() > 50) return 0;
  // What would only take long is no find.
  if (scenario->every_s > 0 && scenario->until_s / scenario->every_s > 50) return 0;
  size_t tasks = 0;
  for (const sim::ScenarioJob& job : scenario->jobs) {
    for (const Part& part : job.gang.parts) tasks += part.tasks;
  }
  if (tasks <= 100) (void)sim::RunScenario(*scenario);
  return 0;
}
