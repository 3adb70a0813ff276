// One pass over arriving pods: each is placed at once or refused for good; none leaves.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/remote.h"
#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule::sim {

struct ReplayInput {
  std::span<const Node> nodes;
  std::span<const Request> pods;
  std::string_view policy;
  double arrival = 1.0;  // cards asked for until the end, as a part of the cluster's
  uint64_t seed = 0;
  uint64_t moves = 0;             // most jobs that may be moved to make room
  bool remote = false;            // whether a pod may use cards of another node than its own
  std::span<const double> marks;  // arrivals at which to look, rising
  bool learn = false;  // which jobs are typical: from those that came, instead of the whole list
};

/// The lists do not tell what pods exchange with their cards: each card in full use is taken to
/// need this much, over this link, and each pod to bear 5 %.
inline constexpr RemoteUse kRemoteUsePerCard = {
    .waits_per_s = 500, .bytes_per_s = 400'000'000, .budget_ppm = 50'000};
inline constexpr RemoteLink kRemoteLink = {.round_trip_ns = 20'000, .bytes_per_s = 12'500'000'000};
inline constexpr RemoteLinks kRemoteLinks = {kRemoteLink, kRemoteLink, kRemoteLink};

/// The cluster when a mark was reached. Units: parts of all cards.
struct Look {
  double arrival = 0;
  double allocated = 0;
  double fragmented = 0;
};

struct ReplayResult {
  std::vector<Look> looks;  // one per mark that was reached
  uint64_t decisions = 0;   // pods that arrived
  uint64_t placed = 0;
  uint64_t moves = 0;
  uint64_t remote = 0;  // of those placed
};

/// Errors: kInvalidArgument (no policy of this name, nodes out of range, no cards);
/// kInternal (the policy chose a place that has no room).
Result<ReplayResult> Replay(const ReplayInput& input);

/// Mean and sample standard deviation (0 of a single value).
struct Spread {
  double mean = 0;
  double stddev = 0;
};
Spread SpreadOf(std::span<const double> values);

}  // namespace flexai::schedule::sim
