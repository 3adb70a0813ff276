// A job whose CPU is on one node and whose cards are on another: for cards that idle where no CPU
// is left. It costs the job speed, so each job says how much it bears.
#pragma once

#include <cstdint>
#include <optional>

#include "flexai/base/status.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/remote_use.h"
#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// What the job takes where it runs: CPU and memory.
Request HostHalf(const Request& request);
/// What it takes where its cards are: them, and CPU to serve it.
Request CardHalf(const Request& request);

struct RemotePlan {
  Placement host;   // of HostHalf()
  Placement cards;  // of CardHalf()
};

/// Whether the job bears its cards on another node, over the best of these links.
bool BearsRemote(const RemoteUse& use, const RemoteLinks& links);

/// Where the placer would put both halves, if both have a place, with the CPU as near to the cards
/// as the budget asks for. For requests that fit on no single node. Changes nothing.
std::optional<RemotePlan> PlanRemote(const Snapshot& snapshot, Placer* placer,
                                     const Request& request, const RemoteUse& use,
                                     const RemoteLinks& links);

/// Adds both halves as jobs and places them: both or neither.
/// Errors: kFailedPrecondition (the plan is not of this state).
Status CarryOut(const RemotePlan& plan, const Request& request, Snapshot* snapshot);

}  // namespace flexai::schedule
