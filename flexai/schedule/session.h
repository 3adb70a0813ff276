// One round of scheduling: a snapshot, what waits, and the decisions so far. Every decision is
// tentative until Commit; Rollback takes back placements and decisions alike. The actions
// (actions.h) work on it; nothing in it knows a clock: the time is a parameter.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "flexai/schedule/fair.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/snapshot.h"
#include "flexai/schedule/statement.h"
#include "flexai/schedule/workload.h"

namespace flexai::schedule {

struct Options {
  int64_t unknown_run_s = 86'400;  // taken for jobs whose run time nobody knows
  int64_t restart_s = 60;          // what a checkpointable job loses by a restart
  uint32_t most_moves = 16;        // of one consolidation, per task of the gang that waits
  bool consolidate = true;         // in every round; else only when asked (actions.h)
  // Whom a reservation was passed by keeps its least run time even against it; then nobody is let
  // past whose least run time would outlast the wait.
  bool claim_waits = true;
  RemoteLinks links = {};  // between nodes
  // Moves for nobody in particular: so often in the time that is given (0: never), at most so many
  // at a time, and what they are to be of use to (none: never).
  int64_t defragment_every_s = 0;
  uint32_t defragment_moves = 16;
  const Fragmentation* usual = nullptr;
};

enum class Act : uint8_t { kStart, kResume, kDegrade, kSuspend, kMove, kEvict };

struct Decision {
  Act act = Act::kStart;
  JobId job = 0;
  Placement place;    // where the job is afterwards; of kEvict where it was
  Milli share = 0;    // of each card, afterwards
  GangId cause = 0;   // for whom
  bool ends = false;  // of kEvict: its gang has less than its minimum then
};

/// Why a gang waits.
enum class Wait : uint8_t { kNotTried, kNoRoom, kLimit, kQuota, kReserved };

struct Verdict {
  Wait wait = Wait::kNotTried;
  QueueId queue = kRoot;    // of kLimit, kQuota: whose
  Resource what = kCards;   // of kLimit, kQuota
  GangId head = 0;          // of kReserved: for whom room is kept
  int64_t reserved_s = -1;  // of the head: when it will have room at the latest
};

class Session {
 public:
  /// Everything must outlive the session, and be changed by nobody else during it.
  Session(Snapshot* snapshot, Workload* workload, Placer* placer, const UsageHistory* history,
          const Options& options, int64_t now_s);

  const Snapshot& snapshot() const { return *snapshot_; }
  const Workload& workload() const { return *workload_; }
  Placer* placer() { return placer_; }
  const Options& options() const { return options_; }
  int64_t now_s() const { return now_s_; }

  struct Point {
    size_t steps;
    size_t decisions;
  };
  Point Checkpoint() const { return {statement_.Checkpoint(), decisions_.size()}; }
  void Rollback(const Point& point);
  /// Whether anything that was decided since `point` touches one that runs.
  bool TouchedOthers(const Point& point) const;
  /// Makes everything so far final; earlier points are void.
  void Commit();

  /// Starts the task, or goes on with it elsewhere if `act` is kMove. Errors: as Snapshot::Place.
  Status Place(JobId job, const Placement& place, GangId cause, Act act = Act::kStart);
  /// Takes the task from its cards, to be placed elsewhere; no decision by itself.
  void Lift(JobId job);
  /// Takes the whole gang from its cards.
  void Evict(GangId gang, GangId cause);
  void EvictTask(JobId job, GangId cause);
  /// Errors: as Snapshot::Resize.
  Status Resize(JobId job, Milli share, Act act, GangId cause);

  /// Gangs that wait, oldest first within the priority, of one queue's own.
  std::span<const GangId> waiting(QueueId queue) const;
  /// Those that were evicted in this round wait as well from now on.
  void QueueAgain();
  /// Gangs that ran when the session began.
  std::span<const GangId> running() const { return running_; }
  /// What the queue is due. Units: milli-cards.
  int64_t due(QueueId queue) const { return due_[queue]; }
  /// Milli-cards of all usable cards.
  int64_t all_cards() const { return all_cards_; }
  /// Jobs on the node when the session began.
  std::span<const JobId> jobs_on(NodeId node) const;

  /// Whether queue limits, and quotas for what is not preemptible, have room for so much more.
  /// Without room `verdict` says where.
  bool Allowed(const Gang& gang, const Amounts& more, Verdict* verdict) const;
  /// Amounts of the tasks that its minimum still lacks.
  Amounts Lacking(GangId gang) const;

  /// When a running gang probably ends; later than now. Who ran for longer than it should is taken
  /// to run as long again.
  int64_t End(GangId gang) const;
  int64_t RunTime(GangId gang) const;

  /// The gang has a reservation, and keeps it until it starts in its own right.
  void Reserve(GangId gang) { workload_->Reserve(gang); }
  /// Who may not start for another reason holds nobody up.
  void DropReservation(GangId gang) { workload_->DropReservation(gang); }
  void SetDefragmented() { workload_->SetDefragmented(now_s_); }
  /// The gang does not start now. If it has a reservation, those behind it in its queue that start
  /// from now on in this round go ahead of that.
  void PassOver(GangId gang);
  /// Who goes ahead of reservations from now on, when it is committed.
  enum class Passing : uint8_t { kNobody, kMoved, kMovedAndStarted };
  void LetPast(Passing who) { passing_ = who; }
  /// Whether the task has to make room for this gang's reservation: it came to its place later, but
  /// not in this round, is not before the gang in the order, and may be evicted.
  bool MayClaim(GangId head, JobId task) const;

  void SetVerdict(GangId gang, const Verdict& verdict) { verdicts_[gang] = verdict; }
  const Verdict& verdict(GangId gang) const { return verdicts_[gang]; }

  /// Final decisions, in the order in which they have to be carried out.
  std::span<const Decision> decisions() const { return {decisions_.data(), committed_}; }
  /// Those that are not final yet as well.
  std::span<const Decision> tentative() const { return decisions_; }

 private:
  void CollectGangs();
  void ShareOut(const UsageHistory& history);

  Snapshot* snapshot_;
  Workload* workload_;
  Placer* placer_;
  Options options_;
  int64_t now_s_;
  Statement statement_;
  std::vector<Decision> decisions_;
  Passing passing_ = Passing::kNobody;
  std::vector<std::optional<GangId>> passed_over_;  // of each queue: the first
  size_t committed_ = 0;                            // decisions that are final
  std::vector<std::vector<GangId>> waiting_;
  std::vector<GangId> running_;
  std::vector<GangId> ended_;   // since QueueAgain
  std::vector<uint8_t> fresh_;  // one per gang: started in this round
  std::vector<int64_t> due_;
  int64_t all_cards_ = 0;
  std::vector<Verdict> verdicts_;  // one per gang
  // Jobs by node: those of node n are jobs_on_[first_on_[n]] .. .
  std::vector<JobId> jobs_on_;
  std::vector<uint32_t> first_on_;
};

}  // namespace flexai::schedule
