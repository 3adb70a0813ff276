// Plays a scenario: time goes from one happening to the next, and each has a round of scheduling.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/explain.h"
#include "flexai/schedule/sim/scenario.h"

namespace flexai::schedule::sim {

/// What became of a job.
struct Outcome {
  std::string state;  // "RUNNING", "WAITING", "DONE"
  std::vector<Placement> places;
  Milli share = 0;         // of the first task
  int64_t started_s = -1;  // the last start
  int64_t ended_s = -1;
  int64_t evictions = 0, moves = 0, suspensions = 0;
  Explanation why;  // of one that waits
};

/// An expectation that was not met.
struct Miss {
  size_t line = 0;
  std::string reason;
};

struct ScenarioResult {
  int64_t ended_at_s = 0;
  std::vector<Outcome> jobs;
  std::vector<Miss> missed;
  int64_t rounds = 0, evictions = 0, moves = 0, suspensions = 0;
};

/// Errors: kInvalidArgument (a job cannot be where the scenario puts it; the message names it).
Result<ScenarioResult> RunScenario(const Scenario& scenario);

}  // namespace flexai::schedule::sim
