// A job that lost its place and comes back is drawn to the node where it was: its image, its data
// and what it compiled are there.
#include <algorithm>

#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Of the cards it asks for. Assumed, not measured; enough to tell equal nodes apart, not enough to
// keep it on a node where it hinders others much.
constexpr int64_t kWarmPermille = 100;
constexpr int64_t kLeastDemand = 100;  // of jobs with little or no card. Units: milli-cards

class Stickiness : public Pull {
 public:
  explicit Stickiness(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  void Gains(const Request& request, const Bonds& bonds, std::vector<Gain>* gains) override {
    if (!bonds.was || *bonds.was >= snapshot_.nodes()) return;
    gains->push_back({*bonds.was, std::max(CardDemand(request), kLeastDemand) * kWarmPermille});
  }

 private:
  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Pull> StickinessPull(const PolicyInput& input) {
  return std::make_unique<Stickiness>(input);
}

}  // namespace flexai::schedule
