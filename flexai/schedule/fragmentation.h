// How much of what is idle is of no use to the jobs that usually come (FGD, USENIX ATC 2023). Whole
// numbers throughout, so that every machine computes the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// One kind of job that usually comes, without its memory.
struct TypicalJob {
  int64_t cpu_milli = 0;
  ModelSet models = kAnyModel;
  uint32_t cards = 0;
  Milli share = 0;
  int64_t weight = 0;  // how many of the jobs seen are of this kind

  bool operator==(const TypicalJob&) const = default;
};

/// The most frequent kinds among `seen`, until they cover `cover_percent` of it; equally frequent
/// kinds in the order of their values.
std::vector<TypicalJob> TypicalJobs(std::span<const Request> seen, int cover_percent = 95);

class Fragmentation {
 public:
  /// `outrun_permille`: of cards that are idle when the node's CPU is used up, had only one kind of
  /// job come, this part counts as a fragment to that kind. 0 is the definition of FGD.
  explicit Fragmentation(std::span<const TypicalJob> typical, int64_t outrun_permille = 0);

  /// Sum of the weights: what Of() has to be divided by.
  int64_t weight() const { return weight_; }

  /// Idle milli-cards of a node that a typical job cannot use, times weight(). To a kind of job
  /// that the node cannot take (model, CPU, cards, or it needs none) all of the idle is a fragment;
  /// to another the idle of those cards that have less than it asks of each.
  /// Shape: at most kMostCards cards.
  int64_t Of(int64_t cpu_free, uint32_t model, std::span<const Milli> shares) const;

  /// As Of(), of the node as it is.
  int64_t OfNode(const Snapshot& snapshot, NodeId node) const {
    return Of(snapshot.cpu_free(node), snapshot.model(node), snapshot.shares(node));
  }

  /// As OfNode(), if the request took these cards of the node.
  int64_t After(const Snapshot& snapshot, NodeId node, const Request& request, CardSet cards) const;

 private:
  struct Kind {
    int64_t cpu_milli;
    int64_t weight;
    uint32_t cards;
    Milli share;
  };
  // Per model: the kinds that may use it, by falling share, and the weight of all others.
  std::vector<Kind> kinds_[kMostModels];
  int64_t outside_[kMostModels] = {};
  int64_t outrun_permille_;
  int64_t weight_ = 0;
};

}  // namespace flexai::schedule
