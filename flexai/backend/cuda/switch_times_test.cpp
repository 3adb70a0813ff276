// Sums over made-up records.
#include "flexai/backend/cuda/switch_times.h"

#include <gtest/gtest.h>

namespace flexai::backend::cuda {
namespace {

constexpr uint8_t kStart = 6, kEnd = 7, kOldStart = 5, kOldEnd = 3, kOther = 1;
constexpr Nanos kMs = kMillisecond;

class SwitchTimesTest : public ::testing::Test {
 protected:
  void Record(uint8_t tag, uint32_t pid, Nanos at) {
    SwitchRecord record = {};
    record.header.type = 2;
    record.body.tag = tag;
    record.body.pid = pid;
    record.body.seqno = sequence_++;
    record.body.timestamp = static_cast<uint64_t>(at + skew_);
    times_.Add(record);
  }
  void Slice(uint32_t pid, Nanos from, Nanos to) {
    Record(kStart, pid, from);
    Record(kEnd, pid, to);
  }
  Nanos Of(uint32_t pid) const {
    for (const auto& one : times_.Totals()) {
      if (one.pid == pid) return one.total;
    }
    return -1;
  }

  SwitchTimes times_;
  Nanos skew_ = 0;
  uint16_t sequence_ = 7;
};

TEST_F(SwitchTimesTest, TakesTheCostOfASwitchOffASlice) {
  Slice(1, 10 * kMs, 12 * kMs);
  Slice(2, 12 * kMs + 80 * kMicrosecond, 15 * kMs);  // at once: it drove the first one out
  Slice(1, 20 * kMs, 21 * kMs);                      // later: the second one's queue was empty
  Record(kStart, 1, 21 * kMs + 10 * kMicrosecond);   // nobody else
  Record(kOther, 9, 30 * kMs);
  EXPECT_EQ(Of(2), 3 * kMs - 80 * kMicrosecond - SwitchTimes::kRanEmpty);
  const Nanos open = 9 * kMs - 10 * kMicrosecond - SwitchTimes::kPreempted;
  EXPECT_EQ(Of(1), 2 * kMs - SwitchTimes::kPreempted + kMs - SwitchTimes::kRanEmpty + open);
  EXPECT_EQ(Of(9), -1) << "only a start makes it known";
  EXPECT_EQ(times_.horizon(), 30 * kMs);
  EXPECT_FALSE(times_.TakeLost());
}

TEST_F(SwitchTimesTest, KnowsTheTagsOfEveryLevelOfDetail) {
  Record(kOldStart, 1, kMs);
  Record(kOldEnd, 1, 2 * kMs);
  Record(kOldStart, 2, 9 * kMs);
  EXPECT_EQ(Of(1), kMs - SwitchTimes::kRanEmpty);
}

TEST_F(SwitchTimesTest, StartWithoutAnEndEndsTheSliceBefore) {
  Record(kStart, 1, kMs);
  Record(kStart, 2, 5 * kMs);
  EXPECT_EQ(Of(1), 4 * kMs - SwitchTimes::kPreempted);
  EXPECT_EQ(Of(2), 0);
}

TEST_F(SwitchTimesTest, SliceThatIsShorterThanItsCostIsNothing) {
  Slice(1, kMs, kMs + 50 * kMicrosecond);
  Slice(2, 9 * kMs, 10 * kMs);
  EXPECT_EQ(Of(1), 0);
}

TEST_F(SwitchTimesTest, CountsAnOpenSliceUpToTheHorizon) {
  Record(kStart, 1, 10 * kMs);
  EXPECT_EQ(Of(1), 0);
  times_.Advance(15 * kMs);
  EXPECT_EQ(Of(1), 5 * kMs - SwitchTimes::kPreempted);
  times_.Advance(14 * kMs);  // never back
  EXPECT_EQ(times_.horizon(), 15 * kMs);
  Record(kEnd, 1, 16 * kMs);
  EXPECT_EQ(Of(1), 6 * kMs - SwitchTimes::kPreempted) << "what follows is not known yet";
  times_.Advance(20 * kMs);
  EXPECT_EQ(Of(1), 6 * kMs - SwitchTimes::kRanEmpty) << "nobody followed";
  times_.Advance(30 * kMs);
  EXPECT_EQ(Of(1), 6 * kMs - SwitchTimes::kRanEmpty);
}

TEST_F(SwitchTimesTest, TotalsNeverFall) {
  Nanos before = -1;
  for (Nanos at = kMs; at < 200 * kMs; at += kMs) {
    if (at % (7 * kMs) == 0) Record(kStart, 1, at);
    if (at % (7 * kMs) == 5 * kMs) Record(kEnd, 1, at);
    if (at % (14 * kMs) == 5 * kMs) Record(kStart, 2, at + 70 * kMicrosecond);
    times_.Advance(at + 100 * kMicrosecond);
    EXPECT_GE(Of(1), before) << at;
    before = Of(1);
  }
  EXPECT_GT(before, 100 * kMs);
}

TEST_F(SwitchTimesTest, TurnsTheCardsClockIntoTheHosts) {
  skew_ = -3 * kSecond;
  times_.SetSkew(skew_);
  Slice(1, 10 * kSecond, 11 * kSecond);
  EXPECT_EQ(times_.horizon(), 11 * kSecond);
  skew_ += 5 * kMicrosecond;  // the clocks drift
  times_.SetSkew(skew_);
  Slice(1, 12 * kSecond, 13 * kSecond);
  times_.Advance(14 * kSecond);
  EXPECT_EQ(Of(1), 2 * kSecond - 2 * SwitchTimes::kRanEmpty);
}

TEST_F(SwitchTimesTest, LeavesHiddenProcessesAndTheKernelOut) {
  Record(kStart, 1, kMs);
  Record(kEnd, 1, 2 * kMs);
  Slice(0, 2 * kMs + 50 * kMicrosecond, 3 * kMs);
  Slice(0xffffffff, 4 * kMs, 5 * kMs);
  Record(kStart, 0, 6 * kMs);
  times_.Advance(9 * kMs);
  EXPECT_EQ(times_.Totals().size(), 1u);
  EXPECT_EQ(Of(1), kMs - SwitchTimes::kPreempted) << "they do drive others out";
}

TEST_F(SwitchTimesTest, NothingIsKnownBeforeTheFirstRecord) {
  EXPECT_TRUE(times_.TakeLost());
  times_.Advance(kSecond);
  EXPECT_TRUE(times_.TakeLost()) << "until somebody starts or stops";
  EXPECT_EQ(times_.horizon(), 0);
  Record(kEnd, 1, 2 * kSecond);  // its start was before our time
  EXPECT_FALSE(times_.TakeLost());
  EXPECT_TRUE(times_.Totals().empty());
}

TEST_F(SwitchTimesTest, SeesAGapAcrossTheWrapOfTheSequence) {
  sequence_ = 0xffff;
  Slice(1, kMs, 2 * kMs);
  EXPECT_FALSE(times_.TakeLost()) << "0 follows 65535";
  Record(kStart, 1, 10 * kMs);
  Record(kOther, 1, 12 * kMs);
  sequence_ += 2;
  Record(kStart, 2, 50 * kMs);
  EXPECT_TRUE(times_.TakeLost());
  EXPECT_FALSE(times_.TakeLost()) << "told once";
  EXPECT_EQ(Of(1), kMs - SwitchTimes::kRanEmpty + 2 * kMs - SwitchTimes::kPreempted)
      << "what is certain";
}

TEST_F(SwitchTimesTest, AfterALossNobodyHasTheCardUntilARecordSaysSo) {
  Record(kStart, 1, kMs);
  times_.Advance(3 * kMs);
  times_.Lose();
  times_.Advance(30 * kMs);
  EXPECT_TRUE(times_.TakeLost());
  EXPECT_TRUE(times_.TakeLost()) << "it is still unknown";
  EXPECT_EQ(Of(1), 2 * kMs - SwitchTimes::kPreempted);
  Record(kEnd, 1, 40 * kMs);
  EXPECT_FALSE(times_.TakeLost());
  EXPECT_EQ(Of(1), 2 * kMs - SwitchTimes::kPreempted);
}

TEST_F(SwitchTimesTest, EndOfAnotherProcessIsALoss) {
  Record(kStart, 1, kMs);
  EXPECT_FALSE(times_.TakeLost());
  Record(kEnd, 2, 3 * kMs);
  EXPECT_TRUE(times_.TakeLost());
  EXPECT_EQ(Of(1), 0);
}

TEST_F(SwitchTimesTest, ForgetsWhoWasNotSeenForAMinute) {
  for (uint32_t pid = 1; pid <= 100; ++pid) Slice(pid, pid * kMs, pid * kMs + kMs / 2);
  Record(kStart, 500, kSecond);
  times_.Advance(59 * kSecond);
  EXPECT_EQ(times_.Totals().size(), 101u);
  times_.Advance(90 * kSecond);
  EXPECT_EQ(times_.Totals().size(), 1u) << "whoever has the card is not forgotten";
  EXPECT_EQ(Of(500), 89 * kSecond - SwitchTimes::kPreempted);
}

TEST_F(SwitchTimesTest, HoldsABoundedNumberOfProcesses) {
  for (uint32_t pid = 1; pid <= 6000; ++pid) {
    Slice(pid, pid * kMs, pid * kMs + kMs / 2);
  }
  EXPECT_LE(times_.Totals().size(), 4097u);
  EXPECT_GE(Of(5999), 0) << "the oldest go";
  EXPECT_EQ(Of(1), -1);
}

}  // namespace
}  // namespace flexai::backend::cuda
