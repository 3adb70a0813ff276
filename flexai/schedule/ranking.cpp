#include "flexai/schedule/ranking.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <span>

namespace flexai::schedule {
namespace {

constexpr int32_t kNoRoom = std::numeric_limits<int32_t>::min();

}  // namespace

int32_t RankedPlacer::ScoreOf(NodeId node, const Request& request) {
  return snapshot_->Fits(node, request) ? scorer_->Judge(node, request).score : kNoRoom;
}

void RankedPlacer::Refill(const Request& request, Ranking* ranking) {
  ranking->tree.assign(2 * leaves_, kNoRoom);
  for (NodeId node = 0; node < snapshot_->nodes(); ++node) {
    ranking->tree[leaves_ + node] = ScoreOf(node, request);
  }
  for (size_t i = leaves_ - 1; i > 0; --i) {
    ranking->tree[i] = std::max(ranking->tree[2 * i], ranking->tree[2 * i + 1]);
  }
}

void RankedPlacer::Update(NodeId node, const Request& request, Ranking* ranking) {
  std::vector<int32_t>& tree = ranking->tree;
  size_t i = leaves_ + node;
  tree[i] = ScoreOf(node, request);
  for (i /= 2; i > 0; i /= 2) {
    const int32_t best = std::max(tree[2 * i], tree[2 * i + 1]);
    if (tree[i] == best) break;
    tree[i] = best;
  }
}

void RankedPlacer::CatchUp(const Request& request, Ranking* ranking) {
  std::span<const NodeId> changed;
  if (ranking->tree.size() != 2 * leaves_ || !snapshot_->ChangedSince(ranking->seen, &changed)) {
    Refill(request, ranking);
  } else {
    for (const NodeId node : changed) {
      if (scored_in_[node] == finds_) continue;
      scored_in_[node] = finds_;
      Update(node, request, ranking);
    }
  }
  ranking->seen = snapshot_->changes();
  ranking->last_used = finds_;
}

RankedPlacer::Ranking& RankedPlacer::RankingOf(const Request& request) {
  const auto found = rankings_.find(request);
  if (found != rankings_.end()) return found->second;
  if (rankings_.size() >= kMostRankings) {
    rankings_.erase(std::min_element(
        rankings_.begin(), rankings_.end(),
        [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; }));
  }
  return rankings_[request];
}

// The best node, of equal ones the first.
NodeId RankedPlacer::First(const Ranking& ranking) const {
  const std::vector<int32_t>& tree = ranking.tree;
  size_t i = 1;
  while (i < leaves_) i = tree[2 * i] == tree[1] ? 2 * i : 2 * i + 1;
  return static_cast<NodeId>(i - leaves_);
}

std::optional<NodeId> RankedPlacer::Best(const Request& request, const Ranking& ranking,
                                         std::span<const NodeId> nodes) const {
  std::optional<NodeId> best;
  int64_t most = 0;
  const auto consider = [&](NodeId node) {
    const int32_t score = ranking.tree[leaves_ + node];
    if (score == kNoRoom) return;
    const int64_t drawn = score + scorer_->Points(request, gain_of_[node]);
    if (best && (drawn < most || (drawn == most && node >= *best))) return;
    best = node;
    most = drawn;
  };
  if (nodes.empty()) {
    consider(First(ranking));
    for (const Gain& gain : gains_) consider(gain.node);
  } else {
    for (const NodeId node : nodes) consider(node);
  }
  return best;
}

std::optional<Placement> RankedPlacer::FindFor(const Request& request, const Bonds& bonds,
                                               std::span<const NodeId> nodes) {
  ++finds_;
  if (snapshot_->nodes() == 0) return std::nullopt;
  if (scored_in_.size() != snapshot_->nodes()) {
    // Nodes were added: every ranking is filled anew when it is next asked for.
    scored_in_.assign(snapshot_->nodes(), 0);
    gain_of_.assign(snapshot_->nodes(), 0);
    leaves_ = std::bit_ceil(static_cast<size_t>(snapshot_->nodes()));
    rankings_.clear();
  }
  Ranking& ranking = RankingOf(request);
  CatchUp(request, &ranking);
  if (ranking.tree[1] == kNoRoom) return std::nullopt;
  gains_.clear();
  scorer_->Draw(request, bonds, &gains_);
  for (const Gain& gain : gains_) gain_of_[gain.node] += gain.gain;
  const std::optional<NodeId> node = Best(request, ranking, nodes);
  for (const Gain& gain : gains_) gain_of_[gain.node] = 0;
  if (!node) return std::nullopt;
  return Placement{*node, scorer_->Judge(*node, request).cards};
}

}  // namespace flexai::schedule
