// Gangs as a whole: is there room, and where.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// How many equal tasks have room on the node at once: exact, by counting.
/// Shape: `empty` asks of the node as it is when nothing runs there.
uint32_t Slots(const Snapshot& snapshot, NodeId node, const Request& request, bool empty = false);

/// That a gang has no room, shown by counting one of its parts alone.
struct NoRoom {
  size_t part = 0;
  uint32_t slots = 0;   // tasks of the part for which there is room, in the best zone
  uint32_t needed = 0;  // its minimum less what is placed
};

/// Proves that a gang cannot start now (or, with `empty`, never); nothing where counting does not
/// tell. Costs one look at each node per part.
std::optional<NoRoom> ProveNoRoom(const Session& session, GangId gang, bool empty = false);

/// Whether the gang of this task, which is placed, falls below its minimum without it.
bool TakesAll(const Session& session, JobId job);

/// What binds the task to places: others of its gang, those before it first. Not all of a large
/// gang, enough to tell where it is. `others` keeps what the answer looks at.
Bonds BondsOf(const Session& session, JobId job, std::vector<NodeId>* others);

/// Places one task of `gang` on one of these nodes (on any where the list is empty), or returns
/// false. May change more than that, but only through the session.
using PlaceTask =
    std::function<bool(Session*, GangId gang, JobId job, std::span<const NodeId> nodes)>;

/// Where there is room without touching anybody; with cards on another node only where that is the
/// last way and the task allows it.
bool PlaceInRoom(Session* session, GangId gang, JobId job, std::span<const NodeId> nodes);

/// Brings every part to its minimum, near to each other as required, nearer if preferred: all or
/// nothing.
bool PlaceMinimum(Session* session, GangId gang, const PlaceTask& place = PlaceInRoom);

/// The same; then places the tasks beyond the minimum for which there is room and allowance.
bool PlaceGang(Session* session, GangId gang, const PlaceTask& place = PlaceInRoom);

}  // namespace flexai::schedule
