#include "flexai/schedule/cutting.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace flexai::schedule {
namespace {

// Prices that differ by less are equal, so that the last bits of a sum decide nothing.
constexpr double kTiny = 1e-9;
constexpr int kMostPivots = 1000;  // a list of 32 shares takes about a hundred

// The best use of every length up to a whole card at the prices so far.
struct Cuts {
  std::array<double, kWholeCard + 1> worth{};
  std::array<int, kWholeCard + 1> last;  // the share that was cut last; -1: none

  Cuts(std::span<const ShareCount> counts, std::span<const double> prices) {
    last[0] = -1;
    for (size_t left = 1; left < worth.size(); ++left) {
      worth[left] = worth[left - 1];
      last[left] = -1;
      for (size_t i = 0; i < counts.size(); ++i) {
        const auto share = static_cast<size_t>(counts[i].share);
        if (share > left || prices[i] <= 0) continue;
        const double with = worth[left - share] + prices[i];
        if (with <= worth[left] + kTiny) continue;
        worth[left] = with;
        last[left] = static_cast<int>(i);
      }
    }
  }
};

// The linear program that is to be solved: the fewest cards, each cut by one of the patterns in the
// basis, that have room for all jobs. Room for more than there are jobs costs nothing.
class Program {
 public:
  explicit Program(std::span<const ShareCount> counts)
      : counts_(counts),
        size_(counts.size()),
        inverse_(size_ * size_),
        used_(size_),
        cost_(size_, 1) {
    for (size_t i = 0; i < size_; ++i) {
      const Milli on_one = kWholeCard / counts[i].share;
      inverse_[i * size_ + i] = 1.0 / on_one;
      used_[i] = static_cast<double>(counts[i].jobs) / on_one;
    }
  }

  std::vector<double> Solve() {
    for (int pivot = 0; pivot < kMostPivots; ++pivot) {
      const std::vector<double> prices = Prices();
      std::vector<double> column(size_);
      const auto cheapest = std::min_element(prices.begin(), prices.end());
      const bool surplus = *cheapest < -kTiny;  // there should be room for more of it
      if (surplus) {
        column[static_cast<size_t>(cheapest - prices.begin())] = -1;
      } else if (!BetterPattern(prices, &column)) {
        break;
      }
      if (!Enter(column, surplus ? 0 : 1)) break;
    }
    return Prices();
  }

 private:
  std::vector<double> Prices() const {
    std::vector<double> prices(size_);
    for (size_t i = 0; i < size_; ++i) {
      for (size_t k = 0; k < size_; ++k) prices[k] += cost_[i] * inverse_[i * size_ + k];
    }
    return prices;
  }

  // The pattern that is worth most, if that is more than the card that it costs.
  bool BetterPattern(std::span<const double> prices, std::vector<double>* column) const {
    const Cuts cuts(counts_, prices);
    if (cuts.worth[kWholeCard] <= 1 + kTiny) return false;
    for (size_t left = kWholeCard; left > 0;) {
      if (cuts.last[left] < 0) {
        --left;
        continue;
      }
      const auto share = static_cast<size_t>(cuts.last[left]);
      (*column)[share] += 1;
      left -= static_cast<size_t>(counts_[share].share);
    }
    return true;
  }

  // Takes the column into the basis, for the first that it drives to nothing.
  bool Enter(std::span<const double> column, double cost) {
    std::vector<double> change(size_);
    size_t leaves = size_;
    double most = 0;
    for (size_t i = 0; i < size_; ++i) {
      for (size_t k = 0; k < size_; ++k) change[i] += inverse_[i * size_ + k] * column[k];
      if (change[i] <= kTiny) continue;
      const double until = used_[i] / change[i];
      if (leaves < size_ && until >= most - kTiny) continue;
      leaves = i;
      most = until;
    }
    if (leaves == size_) return false;
    for (size_t k = 0; k < size_; ++k) inverse_[leaves * size_ + k] /= change[leaves];
    for (size_t i = 0; i < size_; ++i) {
      if (i == leaves) continue;
      used_[i] -= change[i] * most;
      for (size_t k = 0; k < size_; ++k) {
        inverse_[i * size_ + k] -= change[i] * inverse_[leaves * size_ + k];
      }
    }
    used_[leaves] = most;
    cost_[leaves] = cost;
    return true;
  }

  std::span<const ShareCount> counts_;
  size_t size_;
  std::vector<double> inverse_;  // of the basis, row by row
  std::vector<double> used_;     // cards cut by each pattern of the basis
  std::vector<double> cost_;     // of each: a card, or nothing where it only gives up room
};

}  // namespace

LeftValues ValuesOfLeft(std::span<const ShareCount> counts) {
  std::vector<ShareCount> most(counts.begin(), counts.end());
  if (most.size() > kMostShares) {
    std::stable_sort(most.begin(), most.end(), [](const ShareCount& a, const ShareCount& b) {
      return a.jobs * a.share > b.jobs * b.share;
    });
    most.resize(kMostShares);
    std::sort(most.begin(), most.end());
  }
  LeftValues values{};
  if (!most.empty()) {
    const Cuts cuts(most, Program(most).Solve());
    for (size_t left = 0; left < values.size(); ++left) {
      // Halves are rounded up in spite of the last bits.
      const auto milli = static_cast<Milli>(std::floor(cuts.worth[left] * kWholeCard + 0.5 + 1e-6));
      values[left] = std::min(milli, kWholeCard);
    }
  }
  values[kWholeCard] = kWholeCard;
  return values;
}

}  // namespace flexai::schedule
