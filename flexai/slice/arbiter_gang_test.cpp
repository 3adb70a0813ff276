// Tenants of several cards in virtual time: what they do on one card goes on only while they have
// them all, as the steps of a collective operation do.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "flexai/base/sanitized.h"
#include "flexai/slice/arbiter.h"

namespace flexai::slice {
namespace {

using model::Permille;
using model::Priority;

struct Part {
  uint32_t card = 0;
  uint64_t gang = 0;
  Permille share = 500;
  Permille limit = 1000;
  Nanos work = 0;  // 0: always busy
  Nanos rest = 0;
};

constexpr Nanos kCostly = 250 * kMicrosecond;

struct Outcome {
  std::vector<double> got;              // card time / wall time, by part
  std::map<uint64_t, double> together;  // by gang: wall time in which it had all its cards
  std::map<uint32_t, double> used;      // by card
};

Outcome Play(const std::vector<Part>& parts, uint32_t cards, Nanos length) {
  Arbiter arbiter(std::vector<Nanos>(cards, kCostly));
  const size_t n = parts.size();
  std::vector<Nanos> left(n), resting(n, 0);
  std::vector<bool> run(n, true), worked(n, false);
  for (size_t i = 0; i < n; ++i) left[i] = parts[i].work;
  Outcome outcome;
  outcome.got.resize(n);
  for (Nanos now = 0; now < length;) {
    std::vector<ArbiterInput> inputs(n);
    for (size_t i = 0; i < n; ++i) {
      const Part& part = parts[i];
      const bool busy = worked[i] || (!run[i] && resting[i] <= 0);
      inputs[i] = {i + 1, part.share, part.limit, Priority::kNormal, false,
                   busy,  0,          part.card,  part.gang};
    }
    const auto& accounts = arbiter.Step(now, inputs);
    for (size_t i = 0; i < n; ++i) run[i] = accounts[i].run;
    const Nanos next = std::max<Nanos>(arbiter.next_step() - now, 1);
    const Nanos step = std::min({2 * kMillisecond, next, length - now});
    const double part_of_all = static_cast<double>(step) / static_cast<double>(length);
    std::map<uint64_t, bool> whole;
    std::map<uint32_t, int> busy;
    for (size_t i = 0; i < n; ++i) {
      const bool works = run[i] && resting[i] <= 0;
      if (parts[i].gang) whole.try_emplace(parts[i].gang, true).first->second &= works;
      busy[parts[i].card] += works;
    }
    for (const auto& [gang, all] : whole) outcome.together[gang] += all ? part_of_all : 0;
    for (const auto& [card, count] : busy) outcome.used[card] += count > 0 ? part_of_all : 0;
    for (size_t i = 0; i < n; ++i) {
      worked[i] = run[i] && resting[i] <= 0;
      if (worked[i]) outcome.got[i] += part_of_all / busy[parts[i].card];
      if (resting[i] > 0) resting[i] -= step;
      if (!worked[i] || parts[i].work == 0 || (left[i] -= step) > 0) continue;
      left[i] = parts[i].work;
      resting[i] = parts[i].rest;
    }
    now += step;
  }
  return outcome;
}

TEST(ArbiterGang, HasItsCardsTogether) {
  for (const Permille share : {100, 300, 500, 700, 900}) {
    const Permille rest = 1000 - share;
    const Outcome o =
        Play({{0, 7, share}, {1, 7, share}, {0, 0, rest}, {1, 0, rest}}, 2, 20 * kSecond);
    EXPECT_NEAR(o.together.at(7), share / 1000.0, 0.005) << share;
    EXPECT_NEAR(o.got[2], rest / 1000.0, 0.005) << share;
    EXPECT_NEAR(o.got[3], rest / 1000.0, 0.005) << share;
    EXPECT_GT(o.used.at(0) + o.used.at(1), 1.99) << share;
  }
}

// Turns of other lengths on each card, and on one of them two neighbours.
TEST(ArbiterGang, BesideUnlikeNeighbours) {
  const Outcome o = Play({{0, 7, 400},
                          {1, 7, 400},
                          {2, 7, 400},
                          {0, 0, 600},
                          {1, 0, 100},
                          {1, 0, 500},
                          {2, 0, 300},
                          {2, 0, 300}},
                         3, 20 * kSecond);
  EXPECT_NEAR(o.together.at(7), 0.4, 0.01);
  const std::vector<double> asked = {0.4, 0.4, 0.4, 0.6, 0.1, 0.5, 0.3, 0.3};
  for (size_t i = 0; i < asked.size(); ++i) EXPECT_NEAR(o.got[i], asked[i], 0.01) << i;
  for (const auto& [card, used] : o.used) EXPECT_GT(used, 0.99) << card;
}

// A part without work leaves its card to others, whatever the rest of its gang does.
TEST(ArbiterGang, IdlePartTakesNothing) {
  const Outcome o =
      Play({{0, 7, 500}, {1, 7, 500, 1000, kMillisecond, 1000 * kSecond}, {0, 0, 500}, {1, 0, 500}},
           2, 10 * kSecond);
  EXPECT_NEAR(o.got[0], 0.5, 0.005);
  EXPECT_NEAR(o.got[2], 0.5, 0.005);
  EXPECT_GT(o.got[3], 0.99);
}

TEST(ArbiterGang, ALimitHoldsOnEachCard) {
  // Beside the larger neighbour its part of what is spare, by weight, is less than its limit.
  for (const auto& [neighbour, expected] : {std::pair(300, 0.3), std::pair(500, 2.0 / 7)}) {
    const Outcome o =
        Play({{0, 7, 200, 300}, {1, 7, 200, 300}, {0, 0, neighbour}}, 2, 20 * kSecond);
    EXPECT_NEAR(o.got[0], expected, 0.005) << neighbour;
    EXPECT_NEAR(o.got[1], expected, 0.005) << neighbour;
    EXPECT_NEAR(o.together.at(7), expected, 0.005) << neighbour;
  }
}

// Two gangs that share a card, each beside somebody else on the others.
TEST(ArbiterGang, GangsThatOverlap) {
  const Outcome o =
      Play({{0, 7, 500}, {1, 7, 500}, {1, 8, 500}, {2, 8, 500}, {0, 0, 500}, {2, 0, 500}}, 3,
           20 * kSecond);
  for (const auto& [gang, together] : o.together) EXPECT_NEAR(together, 0.5, 0.01) << gang;
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(o.got[i], 0.5, 0.01) << i;
}

// Floors and limits of every part, and no idle card beside one that may borrow, in made-up mixes.
TEST(ArbiterGang, RandomMixes) {
  for (uint32_t mix = 0; mix < (kSanitized ? 40 : 400); ++mix) {
    std::mt19937 random(mix);
    const auto pick = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    const auto cards = static_cast<uint32_t>(pick(2, 4));
    std::vector<Permille> free(cards, 1000);
    std::vector<Part> parts;
    for (uint64_t gang = 100; gang < 100u + static_cast<unsigned>(pick(1, 3)); ++gang) {
      const auto first = static_cast<uint32_t>(pick(0, static_cast<int>(cards) - 2));
      const auto last =
          static_cast<uint32_t>(pick(static_cast<int>(first) + 1, static_cast<int>(cards) - 1));
      const Permille most = *std::min_element(free.begin() + first, free.begin() + last + 1);
      if (most < 200) continue;
      const Permille share = pick(10, most / 10) * 10;
      for (uint32_t card = first; card <= last; ++card) {
        parts.push_back({card, gang, share});
        free[card] -= share;
      }
    }
    for (uint32_t card = 0; card < cards; ++card) {
      while (free[card] >= 50) {
        const Permille share = std::min(free[card], pick(5, 60) * 10);
        parts.push_back({card, 0, share});
        free[card] -= share;
      }
    }
    const Outcome o = Play(parts, cards, 10 * kSecond);
    for (size_t i = 0; i < parts.size(); ++i) {
      const double share = parts[i].share / 1000.0;
      EXPECT_GE(o.got[i], share - 0.02) << "mix " << mix << " part " << i;
      if (parts[i].gang) {
        EXPECT_GE(o.together.at(parts[i].gang), share - 0.02) << "mix " << mix << " part " << i;
      }
    }
  }
}

}  // namespace
}  // namespace flexai::slice
