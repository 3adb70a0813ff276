// How much of what is idle is of no use to the jobs that usually come (FGD, USENIX ATC 2023). Whole
// numbers throughout, so that every machine computes the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// One kind of job that usually comes, without its host memory.
struct TypicalJob {
  int64_t cpu_milli = 0;
  ModelSet models = kAnyModel;
  uint32_t cards = 0;
  Milli share = 0;
  int64_t weight = 0;  // how many of the jobs seen are of this kind
  int64_t card_memory_mib = 0;

  bool operator==(const TypicalJob&) const = default;
};

/// The most frequent kinds among `seen`, until they cover `cover_percent` of it; equally frequent
/// kinds in the order of their values.
std::vector<TypicalJob> TypicalJobs(std::span<const Request> seen, int cover_percent = 95);

/// Whether any of them takes a part of a card and asks for memory of it.
bool PartsAskForMemory(std::span<const TypicalJob> typical);

class Fragmentation {
 public:
  /// `outrun_permille`: of cards that are idle when the node's CPU is used up, had only one kind of
  /// job come, this part counts as a fragment to that kind; likewise what is idle of a card whose
  /// memory is used up. 0 is the definition of FGD.
  explicit Fragmentation(std::span<const TypicalJob> typical, int64_t outrun_permille = 0);

  /// Sum of the weights: what Of() has to be divided by.
  int64_t weight() const { return weight_; }

  /// Idle milli-cards of a node that a typical job cannot use, times weight(). To a kind of job
  /// that the node cannot take (model, CPU, cards, or it needs none) all of the idle is a fragment;
  /// to another the idle of those cards that have less than it asks of each, in share or in memory.
  /// Shape: at most kMostCards cards; `card_memory` has one entry for each, or none: no card has
  /// any.
  int64_t Of(int64_t cpu_free, uint32_t model, std::span<const Milli> shares,
             std::span<const int64_t> card_memory = {}) const;

  /// As Of(), of the node as it is.
  int64_t OfNode(const Snapshot& snapshot, NodeId node) const {
    return Of(snapshot.cpu_free(node), snapshot.model(node), snapshot.shares(node),
              snapshot.card_memory(node));
  }

  /// As OfNode(), if the request took these cards of the node.
  int64_t After(const Snapshot& snapshot, NodeId node, const Request& request, CardSet cards) const;

 private:
  struct Kind {
    int64_t cpu_milli;
    int64_t weight;
    uint32_t cards;
    Milli share;
    int64_t card_memory_mib;
  };
  int64_t Lost(const Kind& kind, int64_t cpu_free, int64_t idle, int64_t too_little,
               size_t enough) const;
  int64_t LostByMemory(const Kind& kind, int64_t cpu_free, int64_t idle,
                       std::span<const Milli> shares, std::span<const int64_t> card_memory) const;

  // Per model: the kinds that may use it, by falling share, and the weight of all others.
  std::vector<Kind> kinds_[kMostModels];
  std::vector<Kind> memory_kinds_[kMostModels];  // those that ask for card memory
  int64_t outside_[kMostModels] = {};
  int64_t outrun_permille_;
  int64_t weight_ = 0;
  bool any_memory_ = false;
};

}  // namespace flexai::schedule
