// The arbiter in virtual time, against a card that is a few lines of arithmetic.
#include "flexai/slice/arbiter.h"

#include <gtest/gtest.h>

#include <random>

#include "flexai/base/sanitized.h"

namespace flexai::slice {
namespace {

using model::Permille;
using model::Priority;

// What a tenant's program does: works for `work`, then rests for `rest`, counted in card time and
// wall time. work = 0: always busy.
struct Load {
  Permille share = 500;
  Permille limit = 500;
  Priority priority = Priority::kNormal;
  Nanos work = 0;
  Nanos rest = 0;
  bool paused = false;
};

constexpr Nanos kCostly = 250 * kMicrosecond;

struct Outcome {
  std::vector<double> got;  // card time / wall time
  double total = 0;
  std::vector<std::vector<bool>> decisions;
};

// Plays `loads` for `length` in steps of at most `tick`, as the daemon does.
Outcome Play(const std::vector<Load>& loads, Nanos length, Nanos tick = kMillisecond,
             bool record = false, Nanos hand_over = 0) {
  Arbiter arbiter({hand_over});
  const size_t n = loads.size();
  std::vector<ArbiterInput> inputs(n);
  std::vector<Nanos> left(n), resting(n, 0), got(n, 0);
  std::vector<bool> run(n, true), worked(n, false);
  for (size_t i = 0; i < n; ++i) left[i] = loads[i].work;
  Outcome outcome;
  Nanos now = 0;
  while (now < length) {
    for (size_t i = 0; i < n; ++i) {
      inputs[i] = {i + 1,           loads[i].share,
                   loads[i].limit,  loads[i].priority,
                   loads[i].paused, worked[i] || (!run[i] && resting[i] <= 0)};
    }
    const auto& accounts = arbiter.Step(now, inputs);
    for (size_t i = 0; i < n; ++i) run[i] = accounts[i].run;
    if (record) outcome.decisions.push_back(run);
    const Nanos step =
        std::min({tick, std::max<Nanos>(arbiter.next_step() - now, 1), length - now});
    const auto runners =
        static_cast<Nanos>(std::count_if(inputs.begin(), inputs.end(), [&](const ArbiterInput& in) {
          return resting[in.id - 1] <= 0 && run[in.id - 1];
        }));
    worked.assign(n, false);
    for (size_t i = 0; i < n; ++i) {
      if (resting[i] > 0) {
        resting[i] -= step;
        continue;
      }
      if (!run[i]) continue;
      got[i] += step / runners;
      worked[i] = true;
      if (loads[i].work == 0) continue;
      left[i] -= step / runners;
      if (left[i] <= 0) {
        left[i] = loads[i].work;
        resting[i] = loads[i].rest;
      }
    }
    now += step;
  }
  for (size_t i = 0; i < n; ++i) {
    outcome.got.push_back(static_cast<double>(got[i]) / static_cast<double>(length));
    outcome.total += outcome.got.back();
  }
  return outcome;
}

TEST(Arbiter, TwoBusyTenantsGetTheirShares) {
  for (const Permille share : {100, 300, 500}) {
    const Outcome o = Play({{share, share}, {1000 - share, 1000 - share}}, 10 * kSecond);
    EXPECT_NEAR(o.got[0], share / 1000.0, 0.003);
    EXPECT_GT(o.total, 0.995);
  }
}

TEST(Arbiter, LoneTenantKeepsToItsLimit) {
  for (const Permille limit : {100, 300, 500, 900}) {
    EXPECT_NEAR(Play({{limit, limit}}, 10 * kSecond).got[0], limit / 1000.0, 0.003);
  }
}

TEST(Arbiter, LoneTenantWaitsOnceInAPeriod) {
  for (const Permille limit : {100, 500, 900}) {
    const Outcome o = Play({{limit, limit}}, 10 * kSecond, kMillisecond, /*record=*/true);
    int waits = 0;
    for (size_t i = 1; i < o.decisions.size(); ++i) {
      waits += o.decisions[i - 1][0] && !o.decisions[i][0];
    }
    EXPECT_NEAR(waits, 10 * kSecond / Arbiter::kPeriod, 15);
  }
}

// What people took from a tenant is not made up for: one that wakes beside it has the card at once.
TEST(Arbiter, APauseEarnsNothing) {
  Arbiter arbiter({kCostly});
  ArbiterInput stopped = {1, 500, 1000, Priority::kNormal, true, true};
  ArbiterInput sleeps = {2, 500, 1000, Priority::kNormal, false, false};
  Nanos now = 0;
  const auto step = [&](Nanos until) {
    for (; now < until; now += kMillisecond) arbiter.Step(now, std::vector{stopped, sleeps});
  };
  step(2 * kSecond);
  stopped.paused = false;
  step(now + 20 * kMillisecond);
  sleeps.busy = true;
  const auto& accounts = arbiter.Step(now, std::vector{stopped, sleeps});
  EXPECT_FALSE(accounts[0].run);
  EXPECT_TRUE(accounts[1].run);
}

// A limit holds from the moment it is given, whatever a tenant might have had before.
TEST(Arbiter, LoweredLimitActsAtOnce) {
  for (const bool paused : {false, true}) {
    Arbiter arbiter({kCostly});
    std::vector<ArbiterInput> inputs = {{1, 10, 1000, Priority::kNormal, paused, true},
                                        {2, 900, 1000, Priority::kNormal, false, true}};
    Nanos now = 0;
    const auto step = [&](Nanos until) {
      for (; now < until; now += kMillisecond) arbiter.Step(now, inputs);
      return arbiter.Step(now, inputs)[0].received;
    };
    const Nanos before = step(2 * kSecond);
    inputs[0].paused = false;
    inputs[0].limit = 100;
    inputs[1].busy = false;
    EXPECT_LE(step(now + kSecond) - before, 120 * kMillisecond) << "paused " << paused;
  }
}

// Where a hand-over costs something, two that are always busy have a turn each in a period, however
// often the arbiter is asked.
TEST(Arbiter, CostlyHandOversAreFew) {
  for (const Permille share : {100, 300, 500}) {
    const Outcome o = Play({{share, 1000}, {1000 - share, 1000}}, 10 * kSecond, 250 * kMicrosecond,
                           /*record=*/true, kCostly);
    int hand_overs = 0;
    for (size_t i = 1; i < o.decisions.size(); ++i) {
      hand_overs += o.decisions[i - 1][0] != o.decisions[i][0];
    }
    EXPECT_LE(hand_overs, 10 * 22) << "share " << share;
    EXPECT_NEAR(o.got[0], share / 1000.0, 0.003);
  }
}

// Each turn is short of a little, which is told later: all bear it by their shares, and the card
// goes round in the same time.
TEST(Arbiter, WhatHandOversCostAllBear) {
  constexpr Nanos kLoss = 400 * kMicrosecond;
  Arbiter arbiter({kCostly});
  std::vector<ArbiterInput> in = {{1, 100, 1000, Priority::kNormal, false, true},
                                  {2, 900, 1000, Priority::kNormal, false, true}};
  std::vector<bool> run = {true, true};
  std::vector<Nanos> told_at(2, -1);
  int begun = 0;
  for (Nanos now = 0; now < 10 * kSecond; now += 250 * kMicrosecond) {
    for (size_t i = 0; i < 2; ++i) {
      const bool told = told_at[i] >= 0 && now >= told_at[i];
      in[i].correction = told ? -kLoss : 0;
      if (told) told_at[i] = -1;
    }
    const auto& accounts = arbiter.Step(now, in);
    for (size_t i = 0; i < 2; ++i) {
      if (accounts[i].run && !run[i]) told_at[i] = now + 2 * kMillisecond;
      begun += accounts[i].run && !run[i];
      run[i] = accounts[i].run;
    }
  }
  const auto& accounts = arbiter.Step(10 * kSecond, in);
  const double all = static_cast<double>(accounts[0].received + accounts[1].received);
  EXPECT_NEAR(static_cast<double>(accounts[0].received) / all, 0.1, 0.001);
  EXPECT_NEAR(begun, 2 * 10 * kSecond / Arbiter::kPeriod, 6);
}

// Turns that start late or end late by as much as holds do on a card, and a share that was changed
// before: all have their turns in the same order for ever, and after each round the same for their
// shares.
TEST(Arbiter, EachRoundIsEven) {
  const std::vector<Permille> shares = {200, 300, 500};
  std::mt19937 random(1);
  for (const Permille before : {10, 100, 200}) {
    Arbiter arbiter({kCostly});
    std::vector<ArbiterInput> in;
    for (size_t i = 0; i < 3; ++i) {
      in.push_back({i + 1, shares[i], 1000, Priority::kNormal, false, true});
    }
    in[0].share = before;
    std::vector<size_t> turns;
    std::vector<Nanos> since(3, -1);
    for (Nanos now = 0; now < 20 * kSecond; now = arbiter.next_step()) {
      if (now > kSecond) in[0].share = shares[0];
      const auto& accounts = arbiter.Step(now, in);
      for (ArbiterInput& input : in) input.correction = 0;
      size_t holder = 0;
      while (!accounts[holder].run) ++holder;
      if (!turns.empty() && holder == turns.back()) continue;
      const auto late = std::uniform_int_distribution<Nanos>(0, kMillisecond / 2)(random);
      in[holder].correction = -late;
      if (!turns.empty()) in[turns.back()].correction = late;
      turns.push_back(holder);
      if (now < 3 * kSecond || holder != 0) continue;
      const size_t n = turns.size();
      EXPECT_NE(turns[n - 2], turns[n - 3]) << "share before " << before << " at " << now;
      EXPECT_EQ(turns[n - 2], turns[n - 5]) << "share before " << before << " at " << now;
      std::vector<double> had;
      for (size_t i = 0; i < 3; ++i) {
        if (since[i] < 0) since[i] = accounts[i].received;
        had.push_back(static_cast<double>(accounts[i].received - since[i]) / shares[i]);
      }
      const auto [least, most] = std::minmax_element(had.begin(), had.end());
      EXPECT_LT((*most - *least) * model::kWholeCard, 6 * kMillisecond)
          << "share before " << before;
    }
    EXPECT_NEAR(static_cast<double>(turns.size()), 3 * 20 * kSecond / Arbiter::kPeriod, 30);
  }
}

// A training rests between its steps, and others have the card meanwhile: it is given back, and at
// no time is anybody further from its share than by its turn in a round.
TEST(Arbiter, ShortRestsMoveNoTurn) {
  for (const Nanos step : {20 * kMillisecond, 50 * kMillisecond, 120 * kMillisecond}) {
    std::vector<Load> loads = {{200, 1000}, {300, 1000}, {500, 1000}};
    for (Load& load : loads) {
      load.work = step + load.share * 20 * kMicrosecond;
      load.rest = 700 * kMicrosecond;
    }
    constexpr Nanos kApart = (kSanitized ? 170 : 10) * kMillisecond;
    for (Nanos length = kSecond; length < 2 * kSecond; length += kApart) {
      const Outcome o = Play(loads, length, 100 * kMicrosecond, /*record=*/false, kCostly);
      for (size_t i = 0; i < 3; ++i) {
        const double share = loads[i].share / 1000.0;
        const double off = (o.got[i] - share * o.total) * static_cast<double>(length);
        EXPECT_LT(std::abs(off), (share * (1 - share) + 0.02) * Arbiter::kPeriod)
            << "step " << step << " tenant " << i << " at " << length;
      }
    }
  }
}

TEST(Arbiter, FourTenants) {
  const Outcome o = Play({{100, 100}, {200, 200}, {300, 300}, {400, 400}}, 20 * kSecond);
  EXPECT_NEAR(o.got[0], 0.1, 0.003);
  EXPECT_NEAR(o.got[3], 0.4, 0.003);
}

TEST(Arbiter, BorrowsIdleTimeAndGivesItBack) {
  const Outcome alone = Play({{300, 1000}}, 2 * kSecond);
  EXPECT_GT(alone.got[0], 0.999);
  const Outcome both = Play({{300, 1000}, {700, 1000}}, 10 * kSecond);
  EXPECT_NEAR(both.got[0], 0.3, 0.005);
  EXPECT_NEAR(both.got[1], 0.7, 0.005);
}

TEST(Arbiter, SpareTimeGoesByWeightAmongBorrowers) {
  const Outcome o = Play({{200, 1000}, {400, 1000}}, 10 * kSecond);
  EXPECT_NEAR(o.got[0], 1.0 / 3, 0.02);
  EXPECT_GT(o.total, 0.995);
}

TEST(Arbiter, PriorityTakesTheSpareTimeButNoFloor) {
  const Outcome o = Play({{300, 1000, Priority::kHigh}, {300, 1000, Priority::kLow}}, 10 * kSecond);
  EXPECT_NEAR(o.got[0], 0.7, 0.01);
  EXPECT_NEAR(o.got[1], 0.3, 0.01);
}

TEST(Arbiter, PausedGetsNothing) {
  Load paused{500, 1000};
  paused.paused = true;
  const Outcome o = Play({paused, {500, 1000}}, 2 * kSecond);
  EXPECT_EQ(o.got[0], 0);
  EXPECT_GT(o.got[1], 0.99);
}

TEST(Arbiter, ReturningTenantIsServedWithinATick) {
  Arbiter arbiter({kCostly});
  std::vector<ArbiterInput> in = {{1, 500, 1000, Priority::kNormal, false, true},
                                  {2, 500, 500, Priority::kNormal, false, false}};
  for (Nanos now = 0; now < kSecond; now += kMillisecond) arbiter.Step(now, in);
  in[1].busy = true;
  const auto& accounts = arbiter.Step(kSecond, in);
  EXPECT_FALSE(accounts[0].run);
  EXPECT_TRUE(accounts[1].run) << "owed its floor, so it goes before the borrower at once";
}

TEST(Arbiter, ANewTenantHasNoCredit) {
  Arbiter arbiter({kCostly});
  std::vector<ArbiterInput> in = {{1, 300, 1000, Priority::kNormal, false, true},
                                  {2, 500, 1000, Priority::kNormal, false, true}};
  Nanos now = 0;
  for (; now < 5 * kSecond; now += kMillisecond) arbiter.Step(now, in);
  in.push_back({3, 200, 1000, Priority::kNormal, false, true});
  for (const Nanos end = now + kSecond; now < end; now += kMillisecond) arbiter.Step(now, in);
  const auto& accounts = arbiter.Step(now, in);
  EXPECT_NEAR(static_cast<double>(accounts[2].received) / kSecond, 0.2, 0.02);
}

TEST(Arbiter, RaisedLimitDoesNotPayOutThePast) {
  Arbiter arbiter;
  std::vector<ArbiterInput> in = {{1, 100, 100, Priority::kNormal, false, true},
                                  {2, 500, 1000, Priority::kNormal, false, true}};
  Nanos now = 0;
  for (; now < 5 * kSecond; now += kMillisecond) arbiter.Step(now, in);
  in[0].share = in[0].limit = 500;
  const Nanos before = arbiter.Step(now, in)[0].received;
  for (const Nanos end = now + kSecond; now < end; now += kMillisecond) arbiter.Step(now, in);
  const Nanos gained = arbiter.Step(now, in)[0].received - before;
  EXPECT_NEAR(static_cast<double>(gained) / kSecond, 0.5, 0.03);
}

// The invariants over made-up mixes: floors, limits, no waste, the same answer twice.
class RandomMixes : public testing::TestWithParam<int> {};

TEST_P(RandomMixes, HoldFloorsLimitsAndTheCard) {
  // A sanitizer makes each sixteen times as long and has nothing more to see in the next hundreds.
  constexpr int kMixes = kSanitized ? 50 : 1000;
  constexpr Nanos kLength = 3 * kSecond;
  for (int mix = 0; mix < kMixes; ++mix) {
    std::mt19937 random(static_cast<uint32_t>(GetParam() * kMixes + mix));
    const auto pick = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    std::vector<Load> loads(static_cast<size_t>(pick(1, 6)));
    Permille free = 1000;
    bool borrower = false;
    bool resters = false;  // each rest may leave the card idle until the next step
    for (Load& load : loads) {
      const int others = static_cast<int>(&loads.back() - &load);
      load.share = pick(2, std::max(2, (free - 20 * others) / 10)) * 10;
      free -= load.share;
      load.limit = pick(0, 1) ? load.share : pick(load.share / 10, 100) * 10;
      load.priority = static_cast<Priority>(pick(0, 2));
      if (pick(0, 3) == 0) {
        resters = true;
        load.work = pick(1, 40) * kMillisecond;
        load.rest = pick(1, 100) * kMillisecond;
      } else {
        borrower = borrower || load.limit == 1000;
      }
    }
    const Nanos hand_over = mix % 2 == 0 ? 0 : kCostly;
    const Outcome o = Play(loads, kLength, 2 * kMillisecond, /*record=*/false, hand_over);
    for (size_t i = 0; i < loads.size(); ++i) {
      const Load& load = loads[i];
      // One turn of slack at either end of the window.
      ASSERT_LE(o.got[i], load.limit / 1000.0 + 0.03) << "mix " << mix << " tenant " << i;
      if (load.work == 0) {
        ASSERT_GE(o.got[i], load.share / 1000.0 - (resters ? 0.04 : 0.03))
            << "mix " << mix << " tenant " << i;
      }
    }
    if (borrower && !resters) {
      ASSERT_GE(o.total, 0.98) << "mix " << mix << ": idle card beside a borrower";
    }
    if (mix % 50 == 0) {
      const Outcome a = Play(loads, kSecond, kMillisecond, true);
      const Outcome b = Play(loads, kSecond, kMillisecond, true);
      ASSERT_EQ(a.decisions, b.decisions) << "mix " << mix;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(TenThousand, RandomMixes, testing::Range(0, 10));

}  // namespace
}  // namespace flexai::slice
