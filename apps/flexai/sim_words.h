// The values of `flexai sim` as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/sim/openb.h"

namespace flexai::cli {

/// "42", "42-51" or a list of both with commas between. At most 1000 seeds.
/// Errors: kInvalidArgument.
Result<std::vector<uint64_t>> ParseSeeds(std::string_view text);

/// "1.3": cards asked for, as a part of the cluster's; more than 0 and at most 10.
/// Errors: kInvalidArgument.
Result<double> ParseArrival(std::string_view text);

/// How many moves are allowed. Errors: kInvalidArgument.
Result<uint64_t> ParseMoves(std::string_view text);

/// "0.25": how large a cluster is, as a part of the recorded one; more than 0 and at most 100.
/// Errors: kInvalidArgument.
Result<double> ParseScale(std::string_view text);

/// The arrivals at which results are told: 1 where it is passed, and the last.
std::vector<double> MarksOf(double arrival);

/// Those, and those in between that a curve is drawn through.
std::vector<double> MarksOfCurve(double arrival);

/// Refuses bad rows of a file; tells of them on stderr where they are to be skipped.
/// Errors: kInvalidArgument.
Status JudgeBadRows(const std::string& path, const std::vector<schedule::sim::BadRow>& bad,
                    bool skip);

/// Replaces the line of progress on a terminal; elsewhere nothing.
void ShowProgress(const std::string& text);

}  // namespace flexai::cli
