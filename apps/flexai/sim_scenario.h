// `flexai sim scenario`: plays a scenario and compares what came with what its writer expects.
#pragma once

#include "apps/flexai/command.h"
#include "apps/flexai/output.h"

namespace flexai::cli {

/// Returns the exit code: 1 when the file cannot be used or an expectation is not met.
int SimulateScenario(const Arguments& arguments, Format format);

}  // namespace flexai::cli
