// One question to the daemon: what every command but `run` and `top` needs of it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "flexai/base/status.h"

namespace flexai::cli {

/// The daemon's answer to `request`.
/// Errors: kUnavailable (no daemon); else what the daemon refused with.
Result<nlohmann::json> Ask(const nlohmann::json& request);

/// The exit code for a failure of Ask: no daemon is ours, a refusal is the question's.
int ExitCode(const Status& status);

}  // namespace flexai::cli
