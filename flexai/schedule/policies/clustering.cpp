// Clustering: like to like. Best is a node that hosts only jobs of the same shape, then one that
// hosts some of it, then an empty one. To jobs without cards all nodes are equal.
#include "flexai/schedule/cards.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"

namespace flexai::schedule {
namespace {

constexpr int64_t kMostIdle = 8000;  // of a node with 8 cards, the largest of the experiment

class Clustering : public Scorer {
 public:
  explicit Clustering(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  Choice Judge(NodeId node, const Request& request) override {
    if (request.cards == 0) return {};
    uint32_t shapes = 0;
    for (uint32_t i = 0; i < kShapes; ++i) {
      const Shape shape = static_cast<Shape>(i);
      shapes += shape != Shape::kNoCard && snapshot_.hosted(node, shape) > 0;
    }
    const bool same = snapshot_.hosted(node, ShapeOf(request)) > 0;
    const int64_t company = same ? (shapes == 1 ? 75 : 50) : (shapes == 0 ? 25 : 0);
    const int64_t used = 25 * (kMostIdle - snapshot_.idle(node)) / kMostIdle;
    return {static_cast<int32_t>(company + used), TightestCards(snapshot_, node, request)};
  }

 private:
  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Placer> MakeClustering(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<Clustering>(input));
}

}  // namespace flexai::schedule
