// Room for a task on a full cluster, at the expense of others: of all nodes the one where it costs
// least. The gentlest way comes first: take from a share, suspend, move, and only then evict.
#pragma once

#include <functional>

#include "flexai/schedule/gang.h"
#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// Who may be asked to make room, and how.
struct RoomRules {
  std::function<bool(JobId)> may_touch;
  bool shrink = true;  // take from shares, suspend
  bool move = true;
  bool evict = true;
  /// Asked each time somebody made room; false takes that back and tries the next node.
  std::function<bool()> holds = [] { return true; };
};

/// How little it matters if a task is moved: who comes first is moved first.
enum class Movable : uint8_t { kIdle, kCheckpointable, kLosesWork, kNever };
Movable MovableOf(const Session& session, JobId job);

/// What is lost if the task has to start anew. Units: milli-card-seconds.
int64_t LostWork(const Session& session, JobId job);

/// For PlaceGang: where there is room, else where it can be made. The rules must outlive it.
PlaceTask MakingRoom(const RoomRules* rules);

}  // namespace flexai::schedule
