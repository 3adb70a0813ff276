// What a job exchanges with cards on another node, and what that costs it.
#pragma once

#include <compare>
#include <cstdint>

namespace flexai::schedule {

/// What a job exchanges with its cards while it runs at full speed, and the slow-down it bears.
struct RemoteUse {
  int64_t waits_per_s = 0;  // calls whose answer it waits for
  int64_t bytes_per_s = 0;  // both ways together
  int64_t budget_ppm = 0;   // 50'000: may run 5 % longer; 0: never remote

  auto operator<=>(const RemoteUse&) const = default;  // NOLINT: the comparison with 0 is its own
};

struct RemoteLink {
  int64_t round_trip_ns = 20'000;
  int64_t bytes_per_s = 12'500'000'000;  // more than 0
};

/// Links between nodes, by how near to each other they are.
struct RemoteLinks {
  RemoteLink rack;      // within one
  RemoteLink block;     // within one, between racks
  RemoteLink anywhere;  // between blocks
};

/// Time added to each second of work: round trips waited for, and bytes on the link. Queueing at
/// the link and what overlaps are left out: the one makes it dearer, the other cheaper.
/// Units: millionths.
/// Source: the model of arXiv 2401.13354.
int64_t RemoteSlowdown(const RemoteUse& use, const RemoteLink& link);

/// CPU on the cards' node that serves one remote job. Units: milli-CPU.
inline constexpr int64_t kRemoteServerCpu = 250;

}  // namespace flexai::schedule
