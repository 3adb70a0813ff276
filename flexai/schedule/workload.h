// What people hand in: gangs of tasks that start together, with what the scheduler needs to know of
// them. A single job is a gang of one. Each task is a job of the snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/remote_use.h"
#include "flexai/schedule/run_times.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

using GangId = uint32_t;

/// How near to each other tasks are: on one node, in one rack, in one block, anywhere.
enum class Level : uint8_t { kNode, kRack, kBlock, kAnywhere };

/// Equal tasks of a gang: a sub-group.
struct Part {
  Request request;
  uint32_t tasks = 1;
  uint32_t minimum = 1;  // below this many the gang is of no use
  Level required = Level::kAnywhere;
  RemoteUse remote = {};  // with its cards, if they may be on another node
  Milli least_share =
      0;            // can do with so little when others need room; 0: with the full share only
  JobId first = 0;  // its tasks are the jobs first .. first + tasks - 1; set by Add
};

struct Gang {
  QueueId queue = kRoot;
  int32_t priority = 0;
  bool preemptible = true;
  bool checkpointable = false;  // goes on where it was after a restart
  int64_t arrived_s = 0;
  uint32_t user = 0;  // whose it is and what it runs, as numbers; 0: unknown
  uint32_t image = 0;
  int64_t estimate_s = 0;   // how long it probably runs; 0: nobody knows
  int64_t least_run_s = 0;  // is left alone for so long after its start
  Level required = Level::kAnywhere;
  Level preferred = Level::kAnywhere;
  std::vector<Part> parts;
};

/// What its run time may be learnt from.
RunKind RunKindOf(const Gang& gang);

class Workload {
 public:
  explicit Workload(Snapshot* snapshot) : snapshot_(snapshot) {}

  /// Adds a gang that waits, and its tasks to the snapshot.
  /// Errors: kInvalidArgument (no part, no task, a minimum or a load out of range, no such queue).
  Result<GangId> Add(Gang gang);
  /// The gang has ended or was withdrawn: frees what it holds and forgets it. Its id, and those of
  /// its tasks, are used again.
  void Leave(GangId id);
  /// Takes a gang off its cards; it waits again, with its full shares.
  void Requeue(GangId id);

  /// Those that have not left, oldest first.
  const std::vector<GangId>& active() const { return active_; }
  const Gang& operator[](GangId id) const { return gangs_[id]; }
  uint32_t size() const { return static_cast<uint32_t>(gangs_.size()); }
  bool left(GangId id) const { return left_[id]; }
  /// Which of all gangs that ever came has this id now: the n-th. The order of age, where ids are
  /// used again.
  uint64_t number(GangId id) const { return numbers_[id]; }
  /// Whether the gang that had this number is still there.
  bool Here(GangId id, uint64_t number) const { return !left_[id] && numbers_[id] == number; }
  GangId gang(JobId job) const { return gang_of_[job]; }
  const Part& part(JobId job) const { return gangs_[gang_of_[job]].parts[part_of_[job]]; }
  /// What the task asked for when it was handed in.
  const Request& asked(JobId job) const { return part(job).request; }

  /// The node from which the task was taken last, if it was.
  std::optional<NodeId> was(JobId job) const {
    return was_[job] == kNowhere ? std::nullopt : std::optional(was_[job]);
  }
  void SetWas(JobId job, NodeId node) { was_[job] = node; }

  /// Whether the task leaves its cards unused, as far as the caller told since its last start.
  bool idle(JobId job) const { return idle_[job]; }
  void SetIdle(JobId job, bool idle) { idle_[job] = idle; }

  uint32_t Placed(const Part& part) const;
  /// Whether each part has its minimum.
  bool Running(GangId id) const;
  /// Whether every task is placed.
  bool Complete(GangId id) const;
  /// Placed, but without any share.
  bool Suspended(JobId job) const;
  /// Placed with less than it asked for.
  bool Degraded(JobId job) const;

  void SetPriority(GangId id, int32_t priority) { gangs_[id].priority = priority; }
  /// Whether the first comes before the second of the same queue: by priority, then by age.
  bool Before(GangId first, GangId second) const;

  /// Reservations, and who was let past them, share one count: the higher number came later.
  /// The number of a gang's reservation; 0: it has none.
  uint64_t reserved(GangId id) const { return reserved_[id]; }
  /// A gang that has one keeps its number.
  void Reserve(GangId id);
  void DropReservation(GangId id) { reserved_[id] = 0; }
  /// When the task came to its place ahead of a reservation; 0: it did not.
  uint64_t past(JobId job) const { return past_[job]; }
  void SetPast(JobId job, bool past) { past_[job] = past ? ++turn_ : 0; }

  /// When moves for nobody in particular were last made.
  int64_t defragmented_s() const { return defragmented_s_; }
  void SetDefragmented(int64_t now_s) { defragmented_s_ = now_s; }

  int64_t started_s(GangId id) const { return started_[id]; }
  void SetStarted(GangId id, int64_t now_s) { started_[id] = now_s; }

  /// Calls act(job) for each task, part by part.
  template <typename Act>
  void ForEachTask(GangId id, Act act) const {
    for (const Part& part : gangs_[id].parts) {
      for (uint32_t i = 0; i < part.tasks; ++i) act(part.first + i);
    }
  }

 private:
  static constexpr NodeId kNowhere = UINT32_MAX;

  Snapshot* snapshot_;
  JobId NewJobs(const Part& part, const Gang& gang);

  // One entry per gang.
  std::vector<Gang> gangs_;
  std::vector<uint8_t> left_;
  std::vector<uint64_t> numbers_;
  std::vector<uint64_t> reserved_;
  std::vector<int64_t> started_;
  // One entry per job.
  std::vector<GangId> gang_of_;
  std::vector<uint16_t> part_of_;
  std::vector<NodeId> was_;
  std::vector<uint64_t> past_;
  std::vector<uint8_t> idle_;

  int64_t defragmented_s_ = 0;
  uint64_t turn_ = 0;           // of the last reservation or start ahead of one
  std::vector<GangId> active_;  // by rising number
  uint64_t came_ = 0;
  // Of those that left: gangs, and the first of so many jobs in a row.
  std::vector<GangId> free_;
  std::map<uint32_t, std::vector<JobId>> free_jobs_;
};

}  // namespace flexai::schedule
