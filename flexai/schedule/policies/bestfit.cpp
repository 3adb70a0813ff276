// Best fit over two amounts, CPU and cards, each as a part of the largest node: the less would be
// left, the better. Of the cards, the one with the least left that fits.
#include "flexai/schedule/cards.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"

namespace flexai::schedule {
namespace {

// The largest node of the published experiment: 128 cores and 8 cards.
constexpr int64_t kMostCpu = 128000;
constexpr int64_t kCpuPerCardMilli = kMostCpu / 8000;

class BestFit : public Scorer {
 public:
  explicit BestFit(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  Choice Judge(NodeId node, const Request& request) override {
    const int64_t cpu_left = snapshot_.cpu_free(node) - request.cpu_milli;
    const int64_t idle_left = snapshot_.idle(node) - CardDemand(request);
    // 100 (1 - cpu/2 - cards/2), cut to a whole number.
    const int64_t score =
        (100 * kMostCpu - 50 * cpu_left - 50 * kCpuPerCardMilli * idle_left) / kMostCpu;
    return {static_cast<int32_t>(score), TightestCards(snapshot_, node, request)};
  }

 private:
  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Placer> MakeBestFit(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<BestFit>(input));
}

}  // namespace flexai::schedule
