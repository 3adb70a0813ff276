// Who is due how many cards: first every queue's quota, then what is left by weight, less for those
// that had more lately. The rule is the one of KAI-Scheduler (docs/fairness,
// docs/time-based-fairshare of kai-scheduler/KAI-Scheduler), here in whole numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "flexai/schedule/queues.h"

namespace flexai::schedule {

/// 2^-(elapsed/half_life), the same on every machine. Units: 1/2^32.
uint64_t Decay(int64_t elapsed_s, int64_t half_life_s);

/// What each queue had lately, older use counting less.
class UsageHistory {
 public:
  /// half_life_s 0: nothing fades. Units of k: 1/1000; 0: the past does not matter.
  explicit UsageHistory(int64_t half_life_s = 0, int64_t k_permille = 0)
      : half_life_s_(half_life_s), k_permille_(k_permille) {}

  /// Counts what the queues hold as held since the last call.
  void Advance(const Queues& queues, int64_t cards_milli, int64_t now_s);
  /// The queue's part of all that was there to be had. Units: 1/1000000.
  int64_t Part(QueueId id) const;
  int64_t k_permille() const { return k_permille_; }

 private:
  int64_t half_life_s_, k_permille_;
  int64_t last_s_ = 0;
  bool begun_ = false;
  int64_t all_ = 0;  // card-seconds x 1000 that were there
  std::vector<int64_t> had_;
};

/// How many milli-cards each queue is due of `cards_milli`.
/// `wanted`: what each queue holds and waits for, its own jobs only.
/// What is over all quotas goes to higher priorities first, within one by weight, in whole cards;
/// what is left after rounding card by card to the largest weights.
std::vector<int64_t> FairShares(const Queues& queues, const std::vector<int64_t>& wanted,
                                int64_t cards_milli, const UsageHistory& history);

}  // namespace flexai::schedule
