// What a round of scheduling does, one file each in actions/. Each leaves the session committed:
// every gang runs or waits, none in between. docs/reference/scheduling-cycle.md is the picture.
#pragma once

#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// Gives back to those that were suspended or degraded what is free, within what their queue is
/// due; with `all` also beyond it.
void Restore(Session* session, bool all);

/// Starts gangs in the order of the queues (order.h) until the first that has no room.
void Allocate(Session* session);

/// Makes room for the first gang that has none, by moving others to places where they fit as well.
void Consolidate(Session* session);

/// Takes back, for gangs of queues that have less than they are due, what others have beyond it.
void Reclaim(Session* session);

/// Makes room for gangs by taking it from lower priorities of their own queue.
void Preempt(Session* session);

/// Starts what can run beside the reservation of the first gang that has no room, and gangs that
/// have a reservation at the expense of those that were let past it.
void Backfill(Session* session);

/// If it is time again and nobody has a reservation: moves jobs to places where less idle card is
/// of no use to the usual jobs (Options::usual).
void Defragment(Session* session);

/// All of the above, in this order; Restore comes first, and again before Defragment.
void RunCycle(Session* session);

}  // namespace flexai::schedule
