// The Philly trace in the form of one flat list (as in the Sia artifact) as values. The text comes
// from the caller. Format: docs/formats/philly.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/sim/rows.h"

namespace flexai::schedule::sim {

/// A virtual cluster: nodes of 8 cards that run its jobs and no others.
struct Pool {
  std::string name;
  uint32_t nodes = 0;
};

/// The pools of the recorded cluster whose size is known, at full size.
/// Source: HeliosArtifact (SC 2021), its simulation of the Philly trace.
std::span<const Pool> PhillyPools();

struct TimedJob {
  int64_t submit_s = 0;  // since the first second of 1970
  int64_t run_s = 0;
  uint32_t cards = 0;
  uint32_t pool = 0;  // its place in the list of pools

  bool operator==(const TimedJob&) const = default;
};

struct JobList {
  std::vector<TimedJob> jobs;  // by time of submission, equal ones as they stand in the text
  uint64_t outside = 0;        // rows left out: another time, or a pool that is not listed
  std::vector<BadRow> bad;
};

/// "2017-10-01", or with " 07:01:55" behind it. Units: seconds since the first of 1970.
/// Errors: kInvalidArgument.
Result<int64_t> ParseTime(std::string_view text);

/// Jobs of these pools submitted from `from_s` until before `until_s`. Needs the columns timestamp,
/// duration, num_gpus and cluster.
/// Errors: kInvalidArgument (the head lacks a column). Bad rows are no error: they are listed.
Result<JobList> ReadPhillyJobs(std::string_view text, std::span<const Pool> pools, int64_t from_s,
                               int64_t until_s);

}  // namespace flexai::schedule::sim
