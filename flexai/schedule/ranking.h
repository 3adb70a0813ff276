// Finds the node a policy likes best without looking at every node for every job. Each kind of
// request has a tree of scores over the nodes; before an answer, only the nodes that changed since
// the kind was last asked for are scored anew.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "flexai/schedule/placer.h"
#include "flexai/schedule/snapshot.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {

/// How good a node is for a request, and which of its cards to take.
struct Choice {
  int32_t score = 0;  // more is better
  CardSet cards = 0;
};

/// A policy that judges each node by the node's own state. Nodes of equal score: the first one
/// (lowest id) is taken; that is the fixed tie rule.
class Scorer {
 public:
  virtual ~Scorer() = default;
  /// Only of nodes that the request fits.
  virtual Choice Judge(NodeId node, const Request& request) = 0;
  /// What draws the job to some nodes; as Pull::Gains.
  virtual void Draw(const Request&, const Bonds&, std::vector<Gain>*) {}
  /// How much better a score of this request is by a gain.
  virtual int64_t Points(const Request&, int64_t) const { return 0; }
};

class RankedPlacer : public Placer {
 public:
  /// Rankings kept; the one not used for the longest time makes room for a new one.
  static constexpr size_t kMostRankings = 1024;

  RankedPlacer(const Snapshot* snapshot, std::unique_ptr<Scorer> scorer)
      : snapshot_(snapshot), scorer_(std::move(scorer)) {}
  std::optional<Placement> FindFor(const Request& request, const Bonds& bonds,
                                   std::span<const NodeId> nodes) override;

 private:
  struct Ranking {
    // A heap-shaped tree of maxima: leaves from leaves_ on, one per node.
    std::vector<int32_t> tree;
    uint64_t seen = 0;       // changes of the snapshot that the tree knows
    uint64_t last_used = 0;  // finds_ at that time
  };

  Ranking& RankingOf(const Request& request);
  int32_t ScoreOf(NodeId node, const Request& request);
  void Refill(const Request& request, Ranking* ranking);
  void Update(NodeId node, const Request& request, Ranking* ranking);
  void CatchUp(const Request& request, Ranking* ranking);
  NodeId First(const Ranking& ranking) const;
  std::optional<NodeId> Best(const Request& request, const Ranking& ranking,
                             std::span<const NodeId> nodes) const;

  const Snapshot* snapshot_;
  std::unique_ptr<Scorer> scorer_;
  std::map<Request, Ranking> rankings_;
  std::vector<uint64_t> scored_in_;  // per node: the find in which it was last scored
  std::vector<Gain> gains_;          // of the job that is placed
  std::vector<int64_t> gain_of_;     // per node; 0 between finds
  size_t leaves_ = 0;                // a power of two, at least the number of nodes
  uint64_t finds_ = 0;
};

}  // namespace flexai::schedule
