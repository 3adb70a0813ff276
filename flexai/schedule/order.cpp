#include "flexai/schedule/order.h"

namespace flexai::schedule {

Order::Order(const Session* session)
    : session_(session),
      children_(session->snapshot().queues().size()),
      keys_(children_.size()),
      next_(children_.size()) {
  for (QueueId queue = static_cast<QueueId>(children_.size()); --queue > kRoot;) {
    if (!session_->waiting(queue).empty() || !children_[queue].empty()) Insert(queue);
  }
}

Order::Key Order::KeyOf(QueueId queue) const {
  const Queues& queues = session_->snapshot().queues();
  const int64_t used = queues.used(queue)[kCards];
  const int64_t due = session_->due(queue);
  // Parts of what is due, in millionths; who is due nothing comes after all who are.
  const int64_t part = due > 0 ? used * 1'000'000 / due : INT64_MAX;
  return {used >= queues[queue].quota[kCards], -int64_t{queues[queue].priority}, part, queue};
}

void Order::Insert(QueueId queue) {
  keys_[queue] = KeyOf(queue);
  children_[session_->snapshot().queues().parent(queue)].insert(keys_[queue]);
}

void Order::Erase(QueueId queue) {
  children_[session_->snapshot().queues().parent(queue)].erase(keys_[queue]);
}

void Order::Update(QueueId queue) {
  for (; queue != kRoot; queue = session_->snapshot().queues().parent(queue)) {
    Erase(queue);
    if (next_[queue] < session_->waiting(queue).size() || !children_[queue].empty()) Insert(queue);
  }
}

std::optional<GangId> Order::Next() {
  QueueId queue = kRoot;
  while (next_[queue] == session_->waiting(queue).size()) {
    if (children_[queue].empty()) return std::nullopt;
    queue = std::get<QueueId>(*children_[queue].begin());
  }
  const GangId gang = session_->waiting(queue)[next_[queue]++];
  if (next_[queue] == session_->waiting(queue).size()) Update(queue);
  return gang;
}

}  // namespace flexai::schedule
