// A job that takes a part of a card leaves the rest to others. It goes where the rest is worth most
// for what it takes: to a rest that it fills, or to one that the usual jobs can share with it.
#include <algorithm>
#include <bit>
#include <map>

#include "flexai/schedule/cutting.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

class Pairing : public Term {
 public:
  explicit Pairing(const PolicyInput& input)
      : snapshot_(*input.snapshot), nothing_known_(input.typical.empty()) {
    // Models that the same parts may use share their values.
    std::map<std::vector<ShareCount>, size_t> known;
    for (uint32_t model = 0; model < kMostModels; ++model) {
      std::map<Milli, int64_t> jobs;
      for (const TypicalJob& job : input.typical) {
        const bool part = job.cards == 1 && job.share > 0 && job.share < kWholeCard;
        if (part && (job.models >> model & 1) != 0) jobs[job.share] += job.weight;
      }
      std::vector<ShareCount> counts;
      counts.reserve(jobs.size());
      for (const auto& [share, count] : jobs) counts.push_back({share, count});
      const auto [found, added] = known.emplace(std::move(counts), values_.size());
      if (added) values_.push_back(ValuesOfLeft(found->first));
      values_of_[model] = found->second;
    }
  }

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    // A whole card is worth the same everywhere; and who knows no jobs knows no worth.
    if (!IsPart(request) || nothing_known_) return 0;
    const LeftValues& values = values_[values_of_[snapshot_.model(node)]];
    const auto left =
        static_cast<size_t>(snapshot_.shares(node)[static_cast<size_t>(std::countr_zero(cards))]);
    const auto share = static_cast<size_t>(request.share);
    return int64_t{1000} * (values[left] - values[left - share] - request.share);
  }

 private:
  const Snapshot& snapshot_;
  bool nothing_known_;
  std::vector<LeftValues> values_;
  std::array<size_t, kMostModels> values_of_{};
};

}  // namespace

std::unique_ptr<Term> PairingTerm(const PolicyInput& input) {
  return std::make_unique<Pairing>(input);
}

}  // namespace flexai::schedule
