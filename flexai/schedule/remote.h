// A job whose CPU is on one node and whose cards are on another: for cards that idle where no CPU
// is left. It costs the job speed, so each job says how much it bears.
#pragma once

#include <cstdint>
#include <optional>

#include "flexai/base/status.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// What a job exchanges with its cards while it runs at full speed, and the slow-down it bears.
struct RemoteUse {
  int64_t waits_per_s = 0;  // calls whose answer it waits for
  int64_t bytes_per_s = 0;  // both ways together
  int64_t budget_ppm = 0;   // 50'000: may run 5 % longer; 0: never remote
};

struct RemoteLink {
  int64_t round_trip_ns = 0;
  int64_t bytes_per_s = 0;  // more than 0
};

/// Time added to each second of work: round trips waited for, and bytes on the link. Queueing at
/// the link and what overlaps are left out: the one makes it dearer, the other cheaper.
/// Units: millionths.
/// Source: the model of arXiv 2401.13354.
int64_t RemoteSlowdown(const RemoteUse& use, const RemoteLink& link);

/// CPU on the cards' node that serves one remote job. Units: milli-CPU.
inline constexpr int64_t kRemoteServerCpu = 250;

/// What the job takes where it runs: CPU and memory.
Request HostHalf(const Request& request);
/// What it takes where its cards are: them, and CPU to serve it.
Request CardHalf(const Request& request);

struct RemotePlan {
  Placement host;   // of HostHalf()
  Placement cards;  // of CardHalf()
};

/// Where the placer would put both halves, if both have a place and the budget allows. For requests
/// that fit on no single node. Changes nothing.
std::optional<RemotePlan> PlanRemote(Placer* placer, const Request& request, const RemoteUse& use,
                                     const RemoteLink& link);

/// Adds both halves as jobs and places them: both or neither.
/// Errors: kFailedPrecondition (the plan is not of this state).
Status CarryOut(const RemotePlan& plan, const Request& request, Snapshot* snapshot);

}  // namespace flexai::schedule
