// flexai sim philly: how long recorded jobs wait under each policy of queueing.
#pragma once

#include "apps/flexai/command.h"
#include "apps/flexai/output.h"

namespace flexai::cli {

/// The exit code of `flexai sim philly`.
int SimulatePhilly(const Arguments& arguments, Format format);

}  // namespace flexai::cli
