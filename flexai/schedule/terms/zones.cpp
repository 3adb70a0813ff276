#include "flexai/schedule/terms/zones.h"

namespace flexai::schedule {

Zones::Zones(const Snapshot& snapshot, uint32_t Node::*zone) : snapshot_(snapshot) {
  for (NodeId node = 0; node < snapshot.nodes(); ++node) {
    const auto [found, added] = index_.emplace(snapshot.empty(node).*zone, nodes_.size());
    if (added) nodes_.emplace_back();
    nodes_[found->second].push_back(node);
    zone_of_.push_back(found->second);
  }
  idle_.resize(nodes_.size());
  idle_of_.resize(zone_of_.size());
}

std::optional<size_t> Zones::Tightest(int64_t cards) {
  CatchUp();
  std::optional<size_t> best;
  for (size_t zone = 0; zone < idle_.size(); ++zone) {
    if (idle_[zone] >= cards && (!best || idle_[zone] < idle_[*best])) best = zone;
  }
  return best;
}

void Zones::CatchUp() {
  std::span<const NodeId> changed;
  if (seen_ > 0 && snapshot_.ChangedSince(seen_ - 1, &changed)) {
    for (const NodeId node : changed) Count(node);
  } else {
    for (NodeId node = 0; node < zone_of_.size(); ++node) Count(node);
  }
  seen_ = snapshot_.changes() + 1;
}

void Zones::Count(NodeId node) {
  const int64_t idle = snapshot_.open(node) ? snapshot_.idle_cards(node) : 0;
  idle_[zone_of_[node]] += idle - idle_of_[node];
  idle_of_[node] = idle;
}

}  // namespace flexai::schedule
