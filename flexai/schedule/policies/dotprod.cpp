// Dot product of what is asked and what a node has left (CPU and cards, as parts of the largest
// node): the smaller, the better.
#include "flexai/schedule/cards.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"

namespace flexai::schedule {
namespace {

// The largest node of the published experiment: 128 cores and 8 cards.
constexpr int64_t kMostCpu = 128000;
constexpr int64_t kCpuPerCardMilli = kMostCpu / 8000;

class DotProduct : public Scorer {
 public:
  explicit DotProduct(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  Choice Judge(NodeId node, const Request& request) override {
    constexpr int64_t kOne = kMostCpu * kMostCpu;
    const int64_t product =
        snapshot_.cpu_free(node) * request.cpu_milli +
        kCpuPerCardMilli * kCpuPerCardMilli * snapshot_.idle(node) * CardDemand(request);
    // 100 (1 - product/2), cut to a whole number.
    const int64_t score = (200 * kOne - 100 * product) / (2 * kOne);
    return {static_cast<int32_t>(score), TightestCards(snapshot_, node, request)};
  }

 private:
  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Placer> MakeDotProduct(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<DotProduct>(input));
}

}  // namespace flexai::schedule
