// Room for a request that fits nowhere, made by moving one job that runs. Only jobs that have
// another home are moved, so nobody loses anything but the move.
#pragma once

#include <optional>

#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

struct Move {
  JobId job = 0;    // leaves its place ...
  Placement home;   // ... for this one
  Placement freed;  // where the request then fits
};

/// Of the single moves that make room, the one after which the two nodes have the fewest fragments,
/// if these are not more than before; of equal ones that of the oldest job. A job's other home is
/// where the placer would put it now, if that is another node. Changes nothing.
std::optional<Move> PlanMove(const Snapshot& snapshot, const Fragmentation& fragmentation,
                             Placer* placer, const Request& request);

/// Moves the job and places `newcomer`, whose request was planned for: both or neither.
/// Errors: kFailedPrecondition (the plan is not of this state).
Status CarryOut(const Move& move, JobId newcomer, Snapshot* snapshot);

}  // namespace flexai::schedule
