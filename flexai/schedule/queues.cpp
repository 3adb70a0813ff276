#include "flexai/schedule/queues.h"

#include <string>

namespace flexai::schedule {
namespace {

Status Check(const Queue& queue) {
  for (size_t i = 0; i < queue.quota.size(); ++i) {
    if (queue.quota[i] < 0 || queue.limit[i] < 0) {
      return Status(Code::kInvalidArgument, "a quota or limit is less than nothing");
    }
  }
  if (queue.weight < 0 || queue.weight > 1'000'000) {
    return Status(Code::kInvalidArgument, "a weight of " + std::to_string(queue.weight),
                  "write 0 to 1000000");
  }
  return Status();
}

}  // namespace

Result<QueueId> Queues::Add(const Queue& queue) {
  FLEXAI_RETURN_IF_ERROR(Check(queue));
  if (queue.parent >= size()) {
    return Status(Code::kInvalidArgument, "there is no queue " + std::to_string(queue.parent),
                  "add the parent first");
  }
  queues_.push_back(queue);
  used_.emplace_back();
  firm_.emplace_back();
  return size() - 1;
}

Status Queues::Change(QueueId id, const Queue& queue) {
  FLEXAI_RETURN_IF_ERROR(Check(queue));
  const QueueId parent = queues_[id].parent;
  queues_[id] = queue;
  queues_[id].parent = parent;
  return Status();
}

void Queues::Charge(QueueId id, const Amounts& amounts, bool firm, int sign) {
  for (;; id = queues_[id].parent) {
    for (size_t i = 0; i < amounts.size(); ++i) {
      used_[id][i] += sign * amounts[i];
      if (firm) firm_[id][i] += sign * amounts[i];
    }
    if (id == kRoot) return;
  }
}

}  // namespace flexai::schedule
