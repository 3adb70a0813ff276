#include "flexai/schedule/workload.h"

#include <algorithm>

namespace flexai::schedule {

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
  const GangId id = size();
  for (size_t index = 0; index < gang.parts.size(); ++index) {
    Part& part = gang.parts[index];
    part.first = snapshot_->jobs();
    for (uint32_t i = 0; i < part.tasks; ++i) {
      snapshot_->AddJob(part.request, gang.queue, !gang.preemptible);
    }
    gang_of_.resize(snapshot_->jobs(), id);
    part_of_.resize(snapshot_->jobs(), static_cast<uint16_t>(index));
    was_.resize(snapshot_->jobs(), kNowhere);
  }
  gangs_.push_back(std::move(gang));
  left_.push_back(false);
  started_.push_back(0);
  active_.push_back(id);
  return id;
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
  active_.erase(std::lower_bound(active_.begin(), active_.end(), id));
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
