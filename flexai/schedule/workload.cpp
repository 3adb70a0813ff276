#include "flexai/schedule/workload.h"

#include <algorithm>
#include <tuple>

namespace flexai::schedule {

RunKind RunKindOf(const Gang& gang) {
  RunKind kind{gang.user, gang.image, gang.queue, 0};
  for (const Part& part : gang.parts) kind.cards += part.tasks * part.request.cards;
  return kind;
}

Result<GangId> Workload::Add(Gang gang) {
  if (gang.parts.empty() || gang.parts.size() > UINT16_MAX) {
    return Status(Code::kInvalidArgument, "a gang without tasks");
  }
  if (gang.queue >= snapshot_->queues().size()) {
    return Status(Code::kInvalidArgument, "there is no queue " + std::to_string(gang.queue));
  }
  for (const Part& part : gang.parts) {
    if (part.tasks == 0 || part.minimum == 0 || part.minimum > part.tasks) {
      return Status(Code::kInvalidArgument, "a minimum of " + std::to_string(part.minimum) +
                                                " of " + std::to_string(part.tasks) + " tasks");
    }
    if (part.request.load >= kMostLoads) {
      return Status(Code::kInvalidArgument,
                    "load " + std::to_string(part.request.load) + " is one too many");
    }
  }
  GangId id = size();
  if (free_.empty()) {
    gangs_.emplace_back();
    left_.push_back(true);
    started_.push_back(0);
    numbers_.push_back(0);
    reserved_.push_back(0);
  } else {
    id = free_.back();
    free_.pop_back();
  }
  for (size_t index = 0; index < gang.parts.size(); ++index) {
    Part& part = gang.parts[index];
    part.first = NewJobs(part, gang);
    for (JobId job = part.first; job < part.first + part.tasks; ++job) {
      gang_of_[job] = id;
      part_of_[job] = static_cast<uint16_t>(index);
      was_[job] = kNowhere;
      past_[job] = 0;
      idle_[job] = false;
    }
  }
  gangs_[id] = std::move(gang);
  left_[id] = false;
  started_[id] = 0;
  reserved_[id] = 0;
  numbers_[id] = came_++;
  active_.push_back(id);
  return id;
}

// As many jobs in a row as the part has tasks.
JobId Workload::NewJobs(const Part& part, const Gang& gang) {
  const auto freed = free_jobs_.find(part.tasks);
  if (freed != free_jobs_.end() && !freed->second.empty()) {
    const JobId first = freed->second.back();
    freed->second.pop_back();
    for (uint32_t i = 0; i < part.tasks; ++i) {
      snapshot_->RenewJob(first + i, part.request, gang.queue, !gang.preemptible);
    }
    return first;
  }
  const JobId first = snapshot_->jobs();
  for (uint32_t i = 0; i < part.tasks; ++i) {
    snapshot_->AddJob(part.request, gang.queue, !gang.preemptible);
  }
  gang_of_.resize(snapshot_->jobs());
  part_of_.resize(snapshot_->jobs());
  was_.resize(snapshot_->jobs(), kNowhere);
  past_.resize(snapshot_->jobs());
  idle_.resize(snapshot_->jobs());
  return first;
}

void Workload::Requeue(GangId id) {
  ForEachTask(id, [&](JobId job) {
    if (!snapshot_->placed(job)) return;
    was_[job] = snapshot_->placement(job).node;
    snapshot_->Remove(job);
    snapshot_->Reset(job, asked(job).share);
  });
}

void Workload::Leave(GangId id) {
  if (left_[id]) return;
  Requeue(id);
  left_[id] = true;
  active_.erase(std::lower_bound(active_.begin(), active_.end(), id,
                                 [this](GangId a, GangId b) { return numbers_[a] < numbers_[b]; }));
  free_.push_back(id);
  for (const Part& part : gangs_[id].parts) free_jobs_[part.tasks].push_back(part.first);
}

bool Workload::Before(GangId first, GangId second) const {
  const Gang &a = gangs_[first], &b = gangs_[second];
  return a.queue == b.queue && std::tuple(-int64_t{a.priority}, a.arrived_s, numbers_[first]) <
                                   std::tuple(-int64_t{b.priority}, b.arrived_s, numbers_[second]);
}

void Workload::Reserve(GangId id) {
  if (reserved_[id] == 0) reserved_[id] = ++turn_;
}

uint32_t Workload::Placed(const Part& part) const {
  uint32_t placed = 0;
  for (uint32_t i = 0; i < part.tasks; ++i) placed += snapshot_->placed(part.first + i);
  return placed;
}

bool Workload::Running(GangId id) const {
  return std::all_of(gangs_[id].parts.begin(), gangs_[id].parts.end(),
                     [this](const Part& part) { return Placed(part) >= part.minimum; });
}

bool Workload::Complete(GangId id) const {
  return std::all_of(gangs_[id].parts.begin(), gangs_[id].parts.end(),
                     [this](const Part& part) { return Placed(part) == part.tasks; });
}

bool Workload::Suspended(JobId job) const {
  return snapshot_->placed(job) && snapshot_->request(job).share == 0 && asked(job).share > 0;
}

bool Workload::Degraded(JobId job) const {
  return snapshot_->placed(job) && snapshot_->request(job).share < asked(job).share;
}

}  // namespace flexai::schedule
