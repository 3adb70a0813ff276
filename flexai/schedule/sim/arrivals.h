// In which order, and how often, the pods of a list arrive: the published experiment's way, with
// our own dice.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flexai/schedule/request.h"

namespace flexai::schedule::sim {

/// The list shuffled by the seed, then pods drawn from it with replacement, for as long as the
/// cards asked for stay within `demand`. Where the list alone asks for more, pods drawn by lot
/// leave it. Units: milli-cards. Shape: indices into `pods`.
std::vector<uint32_t> DrawArrivals(std::span<const Request> pods, int64_t demand, uint64_t seed);

}  // namespace flexai::schedule::sim
