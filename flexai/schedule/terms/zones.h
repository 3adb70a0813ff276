// The racks, or the blocks, of a cluster: their nodes, and the cards that nobody uses there.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// Of the nodes that the snapshot has when it is made.
class Zones {
 public:
  /// `zone`: &Node::rack or &Node::block.
  Zones(const Snapshot& snapshot, uint32_t Node::*zone);

  size_t size() const { return nodes_.size(); }
  size_t Of(NodeId node) const { return zone_of_[node]; }
  const std::vector<NodeId>& nodes(size_t zone) const { return nodes_[zone]; }

  /// The zone with the fewest idle cards that are enough, so that large ones stay whole.
  std::optional<size_t> Tightest(int64_t cards);

 private:
  void CatchUp();
  void Count(NodeId node);

  const Snapshot& snapshot_;
  std::map<uint32_t, size_t> index_;
  std::vector<std::vector<NodeId>> nodes_;
  std::vector<size_t> zone_of_;   // of each node
  std::vector<int64_t> idle_;     // of each zone
  std::vector<int64_t> idle_of_;  // of each node, as counted
  uint64_t seen_ = 0;             // changes that are counted, and 1; 0: nothing is
};

}  // namespace flexai::schedule
