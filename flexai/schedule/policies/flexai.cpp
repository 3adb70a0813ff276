// Our own policy: the least loss, summed over the terms. Losses that differ by less than a step are
// equal; of equal nodes the one with the fewest idle cards is taken, then the first. So nodes fill
// up one after the other and whole nodes stay free for large jobs.
#include <algorithm>

#include "flexai/schedule/cards.h"
#include "flexai/schedule/policies/policies.h"
#include "flexai/schedule/ranking.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

constexpr int64_t kStep = 40 * 1000;       // 40 milli-cards
constexpr int64_t kStepOfParts = 1000;     // of which card is left with what, every bit tells
constexpr int32_t kTies = kMostCards + 1;  // numbers of idle cards
constexpr int64_t kMostSteps = INT32_MAX / kTies - 1;

class Flexai : public Scorer {
 public:
  explicit Flexai(const PolicyInput& input) : snapshot_(*input.snapshot) {
    Add(FragmentationTerm(input));
    Add(PairingTerm(input));
    Add(ScarcityTerm(input));
    Add(InterferenceTerm(input));
    of_boards_.push_back(LinkTerm(input));
    of_boards_.push_back(NumaTerm(input));
    pulls_.push_back(TopologyPull(input));
    pulls_.push_back(StickinessPull(input));
    if (auto remote = RemotePull(input)) pulls_.push_back(std::move(remote));
  }

  Choice Judge(NodeId node, const Request& request) override {
    CardSet best = 0;
    int64_t least = INT64_MAX;
    const bool known = snapshot_.any_board() && snapshot_.board(node).known();
    const auto consider = [&](CardSet cards) {
      int64_t loss = 0;
      for (const auto& term : terms_) loss += term->Loss(node, request, cards);
      if (known) {
        for (const auto& term : of_boards_) loss += term->Loss(node, request, cards);
      }
      if (loss < least) {
        least = loss;
        best = cards;
      }
    };
    if (IsPart(request)) {
      const bool alike = request.card_memory_mib == 0 && request.load == 0 && !known;
      for (CardSet left = FittingCards(snapshot_, node, request, alike); left != 0;
           left &= left - 1) {
        consider(left & -left);
      }
    } else {
      consider(TightestCards(snapshot_, node, request));
      if (known) {
        sets_ = {best};
        NearCards(snapshot_, node, request, &sets_);
        for (size_t i = 1; i < sets_.size(); ++i) consider(sets_[i]);
      }
    }
    // Rounded down: a gain that is less than a step is a step, a loss is none.
    const int64_t steps = FloorDivide(least, StepOf(request));
    const auto ties = static_cast<int32_t>(snapshot_.idle_cards(node));
    const auto coarse = static_cast<int32_t>(std::clamp(steps, -kMostSteps, kMostSteps));
    return {-coarse * kTies - ties, best};
  }

  void Draw(const Request& request, const Bonds& bonds, std::vector<Gain>* gains) override {
    for (const auto& pull : pulls_) pull->Gains(request, bonds, gains);
  }

  // Rounded up, as losses are rounded down: a gain that is less than a step is a step.
  int64_t Points(const Request& request, int64_t gain) const override {
    const int64_t step = StepOf(request);
    return (gain + step - 1) / step * kTies;
  }

 private:
  void Add(std::unique_ptr<Term> term) {
    if (term != nullptr) terms_.push_back(std::move(term));
  }
  static int64_t StepOf(const Request& request) { return IsPart(request) ? kStepOfParts : kStep; }
  static int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

  const Snapshot& snapshot_;
  std::vector<std::unique_ptr<Term>> terms_;
  std::vector<std::unique_ptr<Term>> of_boards_;  // only where the node's board is known
  std::vector<std::unique_ptr<Pull>> pulls_;
  std::vector<CardSet> sets_;  // of the node that is judged
};

}  // namespace

std::unique_ptr<Placer> MakeFlexai(const PolicyInput& input) {
  return std::make_unique<RankedPlacer>(input.snapshot, std::make_unique<Flexai>(input));
}

}  // namespace flexai::schedule
