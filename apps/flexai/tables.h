// The daemon's status as tables: for status, cards and top.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/flexai/output.h"

namespace flexai::cli {

/// One row a card; `wide` adds backend, driver, uuid and more.
Table CardTable(const nlohmann::json& status, bool wide);

/// One row a slice, and of several cards one for each; `wide` adds card, peak, refusals, processes
/// and age.
Table SliceTable(const nlohmann::json& slices, bool wide);

/// Each slice once.
std::vector<std::string> SliceNames(const nlohmann::json& status);

/// Lines for what this machine has and flexai does not share, and why. Empty if nothing.
std::string NotShared(const nlohmann::json& status);

/// The lines below the tables: who waits and why, and what the daemon warns of. Empty if nothing.
std::string Remarks(const nlohmann::json& status);

/// "1.2/8.0 GiB": what is used of what there is.
std::string UsedOf(uint64_t used, uint64_t total);

}  // namespace flexai::cli
