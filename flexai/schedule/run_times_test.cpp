#include "flexai/schedule/run_times.h"

#include <gtest/gtest.h>

namespace flexai::schedule {
namespace {

void LearnSo(RunTimes* times, int count, const RunKind& kind, int64_t run_s) {
  for (int i = 0; i < count; ++i) times->Learn(kind, run_s);
}

// Rounded up by at most a quarter.
void ExpectAbout(int64_t estimate, int64_t run_s) {
  EXPECT_GE(estimate, run_s);
  EXPECT_LE(estimate, run_s + run_s / 4);
}

TEST(RunTimes, NobodyKnowsUntilEnoughHaveEnded) {
  RunTimes times;
  const RunKind kind{.user = 1, .image = 2, .queue = 3, .cards = 4};
  LearnSo(&times, RunTimes::kEnough - 1, kind, 100);
  EXPECT_EQ(times.Estimate(kind, 500), 0);
  times.Learn(kind, 100);
  ExpectAbout(times.Estimate(kind, 500), 100);
}

TEST(RunTimes, TheNarrowestKindWithEnoughIsBelieved) {
  const RunKind asked{.user = 1, .image = 2, .queue = 3, .cards = 4};
  // From the widest to the narrowest: each hides those before it.
  const RunKind steps[] = {{.user = 9, .image = 9, .queue = 9, .cards = 9},   // all
                           {.user = 9, .image = 9, .queue = 9, .cards = 4},   // cards
                           {.user = 9, .image = 9, .queue = 3, .cards = 9},   // queue
                           {.user = 9, .image = 9, .queue = 3, .cards = 4},   // queue, cards
                           {.user = 9, .image = 2, .queue = 9, .cards = 9},   // image
                           {.user = 9, .image = 2, .queue = 9, .cards = 4},   // image, cards
                           {.user = 1, .image = 9, .queue = 9, .cards = 9},   // user
                           {.user = 1, .image = 9, .queue = 9, .cards = 4},   // user, cards
                           {.user = 1, .image = 2, .queue = 9, .cards = 9},   // user, image
                           {.user = 1, .image = 2, .queue = 9, .cards = 4}};  // all three
  RunTimes times;
  int64_t run_s = 10;
  for (const RunKind& step : steps) {
    LearnSo(&times, 100, step, run_s *= 4);
    // All of the narrowest kind that there is ran so long; of each wider one others ran for less.
    ExpectAbout(times.Estimate(asked, 1), run_s);
  }
}

TEST(RunTimes, WhatIsUnknownTellsNothing) {
  RunTimes times;
  LearnSo(&times, 10, {.user = 1, .image = 2, .queue = 3, .cards = 4}, 1000);
  LearnSo(&times, 10, {.queue = 3, .cards = 1}, 10);
  // A job without a name is not like others without one.
  ExpectAbout(times.Estimate({.queue = 3, .cards = 1}, 900), 10);
  ExpectAbout(times.Estimate({.queue = 3}, 900), 1000);
  ExpectAbout(times.Estimate({.user = 7, .image = 7, .queue = 7, .cards = 7}, 900), 1000);
}

TEST(RunTimes, Quantiles) {
  RunTimes times;
  for (int64_t i = 1; i <= 1000; ++i) times.Learn({.user = 1}, i);
  for (const int permille : {100, 500, 900, 1000}) {
    ExpectAbout(times.Estimate({.user = 1}, permille), permille);
  }
}

TEST(RunTimes, AMillionUsersTakeNoMoreThanTheirPlace) {
  RunTimes times(/*most_kinds=*/1000);
  LearnSo(&times, 10, {.user = 1, .queue = 5, .cards = 1}, 10);
  for (uint32_t user = 2; user < 1'000'000; ++user) {
    times.Learn({.user = user, .queue = 5, .cards = 1}, 5000);
    ASSERT_LE(times.kinds(), 1000u);
  }
  // The first user is forgotten, and counts as anybody of the queue; a busy one is known.
  ExpectAbout(times.Estimate({.user = 1, .queue = 5, .cards = 1}, 900), 5000);
  LearnSo(&times, 10, {.user = 3, .queue = 5, .cards = 1}, 10);
  ExpectAbout(times.Estimate({.user = 3, .queue = 5, .cards = 1}, 900), 10);
}

TEST(RunTimes, WhatIsOldCountsLess) {
  RunTimes times;
  LearnSo(&times, 200'000, {.user = 1}, 10);
  LearnSo(&times, 100'000, {.user = 1}, 1000);
  ExpectAbout(times.Estimate({.user = 1}, 500), 1000);
}

}  // namespace
}  // namespace flexai::schedule
