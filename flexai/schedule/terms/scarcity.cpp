// Jobs that can use few models need those left for them. The typical jobs that are bound to some
// models are spread over all cards of these models; where this fills a model by the time the whole
// cluster is full, every milli-card of it taken by a job that could go elsewhere is lost to them.
#include <algorithm>
#include <array>

#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Below 100, because what is kept for jobs that do not come in time is lost as well. Chosen among
// 70 to 90: docs/reference/scheduling-results.md.
constexpr int64_t kWeightPercent = 80;

class Scarcity : public Term {
 public:
  explicit Scarcity(const PolicyInput& input) : snapshot_(*input.snapshot) {
    std::array<int64_t, kMostModels> cards{}, memory{};
    int64_t all_cards = 0;
    for (NodeId node = 0; node < snapshot_.nodes(); ++node) {
      cards[snapshot_.model(node)] += snapshot_.cards(node);
      all_cards += snapshot_.cards(node);
      int64_t& most = memory[snapshot_.model(node)];
      most = std::max(most, snapshot_.empty(node).card_memory_mib);
    }
    ModelSet present = 0;
    for (uint32_t model = 0; model < kMostModels; ++model) {
      if (cards[model] > 0) present |= ModelSet{1} << model;
    }
    int64_t demand = 0;
    for (const TypicalJob& job : input.typical) demand += job.weight * job.cards * job.share;
    if (demand == 0) return;
    for (const TypicalJob& job : input.typical) {
      ModelSet usable = job.models & present;
      for (uint32_t model = 0; model < kMostModels; ++model) {
        // Who needs more memory than a model's cards have is bound to the others.
        if (memory[model] < job.card_memory_mib) usable &= ~(ModelSet{1} << model);
      }
      if (job.cards == 0 || usable == 0 || usable == present) continue;
      int64_t usable_cards = 0;
      for (uint32_t model = 0; model < kMostModels; ++model) {
        if ((usable >> model & 1) != 0) usable_cards += cards[model];
      }
      // The part of these cards that such jobs fill by the time all demand equals all cards.
      const int64_t filled =
          1000 * job.weight * job.cards * job.share * all_cards / (demand * usable_cards);
      for (uint32_t model = 0; model < kMostModels; ++model) {
        if ((usable >> model & 1) != 0) bound_permille_[model] += filled;
      }
    }
    for (int64_t& permille : bound_permille_) permille = std::min<int64_t>(permille, 1000);
  }

  int64_t Loss(NodeId node, const Request& request, CardSet) override {
    return CardDemand(request) * bound_permille_[snapshot_.model(node)] * kWeightPercent / 100;
  }

 private:
  const Snapshot& snapshot_;
  std::array<int64_t, kMostModels> bound_permille_{};
};

}  // namespace

std::unique_ptr<Term> ScarcityTerm(const PolicyInput& input) {
  return std::make_unique<Scarcity>(input);
}

}  // namespace flexai::schedule
