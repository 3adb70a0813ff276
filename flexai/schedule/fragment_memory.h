// Remembers each node's fragments until the node changes.
#pragma once

#include <vector>

#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

class FragmentMemory {
 public:
  FragmentMemory(const Snapshot* snapshot, const Fragmentation* fragmentation)
      : snapshot_(snapshot), fragmentation_(fragmentation) {}

  /// As Fragmentation::OfNode().
  int64_t Of(NodeId node) {
    if (node >= known_.size()) known_.resize(snapshot_->nodes());
    Known& known = known_[node];
    if (!known.valid || known.version != snapshot_->version(node)) {
      known = {true, snapshot_->version(node), fragmentation_->OfNode(*snapshot_, node)};
    }
    return known.fragments;
  }

  /// How much they grow if the request takes these cards. Units: milli-cards times weight().
  int64_t Growth(NodeId node, const Request& request, CardSet cards) {
    return fragmentation_->After(*snapshot_, node, request, cards) - Of(node);
  }

 private:
  struct Known {
    bool valid = false;
    uint32_t version = 0;
    int64_t fragments = 0;
  };
  const Snapshot* snapshot_;
  const Fragmentation* fragmentation_;
  std::vector<Known> known_;
};

}  // namespace flexai::schedule
