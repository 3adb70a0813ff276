// The words in which people and the daemon speak of a slice, shared by the commands.
#pragma once

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/flexai/command.h"
#include "flexai/model/slice_spec.h"

namespace flexai::cli {

/// What --share, --limit, --memory, --card, --cards and --priority ask for, with the defaults of
/// `run`. Errors: kInvalidArgument.
Result<model::SliceSpec> ParseSpec(const Arguments& arguments);

/// The spec in the daemon's field names.
nlohmann::json ToRequest(const model::SliceSpec& spec);

/// A field of the slice for each of its cards.
std::vector<std::string> OfEachCard(const nlohmann::json& slice, const char* field);

/// "card 0 (MODEL), 30 % compute, 8.0 GiB, slice s-7f3a".
std::string Promise(const nlohmann::json& slice, const std::string& model);

/// The value of FLEXAI_SLICE, for the libraries in the program that `leader` becomes.
std::string SliceVariable(const nlohmann::json& granted, pid_t leader);

}  // namespace flexai::cli
