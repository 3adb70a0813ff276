// What is learnt from gaps, in virtual time.
#include "flexai/operate/idle_gaps.h"

#include <gtest/gtest.h>

namespace flexai::operate {
namespace {

class IdleGapsTest : public ::testing::Test {
 protected:
  // Work for `work`, then nothing for `gap`, looked at each `tick`.
  void Run(int times, Nanos work, Nanos gap, Nanos tick) {
    for (int i = 0; i < times; ++i) {
      RunUntil(end_ + work, tick, /*queued=*/true);
      emptied_at_ = end_;
      RunUntil(end_ + gap, tick, /*queued=*/false);
    }
  }
  void RunUntil(Nanos end, Nanos tick, bool queued) {
    for (; now_ <= end; now_ += tick) gaps_.Look(now_, queued, emptied_at_);
    end_ = end;
  }

  IdleGaps gaps_;
  Nanos now_ = kSecond;
  Nanos end_ = kSecond;
  Nanos emptied_at_ = 0;
};

TEST_F(IdleGapsTest, NothingIsKnownAtFirst) {
  EXPECT_EQ(gaps_.grace(), IdleGaps::kUnknown);
  Run(2, kMillisecond, 5 * kMillisecond, 50 * kMicrosecond);
  EXPECT_EQ(gaps_.grace(), IdleGaps::kUnknown) << "two gaps are too few";
}

TEST_F(IdleGapsTest, ShortGapsAreWaitedFor) {
  for (const Nanos tick : {50 * kMicrosecond, 250 * kMicrosecond}) {
    gaps_ = IdleGaps();
    Run(20, kMillisecond, 20 * kMicrosecond, tick);
    EXPECT_EQ(gaps_.grace(), IdleGaps::kShort) << tick;
    Run(20, 30 * kMillisecond, 400 * kMicrosecond, tick);
    EXPECT_EQ(gaps_.grace(), IdleGaps::kShort) << tick;
  }
}

TEST_F(IdleGapsTest, LongGapsAreNot) {
  for (const Nanos tick : {50 * kMicrosecond, 250 * kMicrosecond, 2 * kMillisecond}) {
    gaps_ = IdleGaps();
    Run(20, 4 * kMillisecond, 8 * kMillisecond, tick);
    EXPECT_EQ(gaps_.grace(), IdleGaps::kAtOnce) << tick;
  }
}

TEST_F(IdleGapsTest, ALaterHabitCounts) {
  Run(20, kMillisecond, 20 * kMicrosecond, 50 * kMicrosecond);
  Run(8, kMillisecond, 9 * kMillisecond, 50 * kMicrosecond);
  EXPECT_EQ(gaps_.grace(), IdleGaps::kAtOnce);
  Run(8, kMillisecond, 20 * kMicrosecond, 50 * kMicrosecond);
  EXPECT_EQ(gaps_.grace(), IdleGaps::kShort);
}

// Looks that are too rare to tell leave what was known.
TEST_F(IdleGapsTest, RareLooksTellNothing) {
  Run(20, 35 * kMillisecond, 100 * kMicrosecond, 10 * kMillisecond);
  EXPECT_NE(gaps_.grace(), IdleGaps::kAtOnce);
}

}  // namespace
}  // namespace flexai::operate
