// A set of tentative decisions over a snapshot: try, look, then keep all of it or none. Undoing
// costs what was changed, not what there is.
#pragma once

#include <cstddef>

#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// One at a time per snapshot. What is not committed is undone at the end of its life.
class Statement {
 public:
  explicit Statement(Snapshot* snapshot) : snapshot_(snapshot) { snapshot_->recording_ = true; }
  ~Statement() {
    Rollback(0);
    snapshot_->recording_ = false;
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Errors: as Snapshot::Place.
  Status Place(JobId job, const Placement& placement) { return snapshot_->Place(job, placement); }
  void Remove(JobId job) { snapshot_->Remove(job); }
  /// Errors: as Snapshot::Resize.
  Status Resize(JobId job, Milli share) { return snapshot_->Resize(job, share); }
  void Reset(JobId job, Milli share) { snapshot_->Reset(job, share); }

  /// A point to come back to.
  size_t Checkpoint() const { return snapshot_->undo_.size(); }
  /// Undoes everything since the checkpoint. Rollback(0): since the last commit.
  void Rollback(size_t checkpoint) { snapshot_->UndoTo(checkpoint); }
  /// Makes everything so far final; earlier checkpoints are void.
  void Commit() { snapshot_->undo_.clear(); }

 private:
  Snapshot* snapshot_;
};

}  // namespace flexai::schedule
