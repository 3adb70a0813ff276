// Compares what a scenario expects with what came.
#pragma once

#include <vector>

#include "flexai/schedule/session.h"
#include "flexai/schedule/sim/scenario.h"
#include "flexai/schedule/sim/scenario_run.h"

namespace flexai::schedule::sim {

/// The state of the story at one time.
struct Scene {
  const Scenario* scenario;
  const Session* session;
  const ScenarioResult* result;
};

/// Adds a miss for each thing that is otherwise.
void CheckExpectation(const Scene& scene, const Expectation& expect, std::vector<Miss>* missed);

}  // namespace flexai::schedule::sim
