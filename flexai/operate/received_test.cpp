// Corrections in virtual time.
#include "flexai/operate/received.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace flexai::operate {
namespace {

constexpr Nanos kMs = kMillisecond;

class ReceivedTest : public ::testing::Test {
 protected:
  // The arbiter charges `charged_part` of each tick of 2 ms; the slice really gets `got_part`.
  void Run(Nanos time, double charged_part, double got_part, bool busy = true) {
    for (const Nanos end = now_ + time; now_ < end;) {
      now_ += 2 * kMs;
      charged_ += static_cast<Nanos>(charged_part * 2 * kMs);
      got_ += static_cast<Nanos>(got_part * 2 * kMs);
      if (!busy) rested_ += 2 * kMs;
      received_.Charged(now_, charged_, rested_, busy);
    }
  }
  // The trace as it is now.
  void Tell(bool lost = false) { received_.Traced(now_, got_, lost); }
  Nanos Take() {
    const Nanos one = received_.TakeCorrection();
    corrected_ += one;
    return one;
  }

  Received received_;
  Nanos now_ = 1000 * kSecond;
  Nanos charged_ = 5 * kSecond;
  Nanos got_ = 777 * kSecond;
  Nanos rested_ = 0;
  Nanos corrected_ = 0;
};

TEST_F(ReceivedTest, FirstWordIsTheBase) {
  EXPECT_EQ(Take(), 0);
  Run(50 * kMs, 1, 0.5);
  Tell();
  EXPECT_EQ(Take(), 0);
}

TEST_F(ReceivedTest, ChargesWhatWasReceivedBeyond) {
  Run(20 * kMs, 0.5, 0.5);
  Tell();
  Run(100 * kMs, 0.5, 0.6);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs);
  EXPECT_EQ(Take(), 0) << "once";
  Run(100 * kMs, 0.5, 0.6);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs) << "what is new";
  Tell();
  EXPECT_EQ(Take(), 0) << "the same word again";
}

TEST_F(ReceivedTest, GivesBackWhatWasNotReceived) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(100 * kMs, 1, 0.9);
  Tell();
  Run(100 * kMs, 1, 0.9);
  Tell();
  EXPECT_EQ(Take(), -20 * kMs) << "of both";
}

TEST_F(ReceivedTest, NeverGivesBackMoreThanHalf) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(60 * kMs, 1, 0);
  Tell();
  EXPECT_EQ(Take(), -30 * kMs) << "else copies would keep the card for nothing";
  Run(60 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), -30 * kMs) << "it was only late";
}

TEST_F(ReceivedTest, ComparesAtTheMomentOfTheTrace) {
  Run(20 * kMs, 0, 0);
  Tell();
  // The word of the middle of a tick, 46 ms late: what was charged since is left alone.
  Run(10 * kMs, 1, 1);
  const Nanos then = now_ + kMs;
  const Nanos got = got_ + 3 * kMs;
  Run(46 * kMs, 0.5, 0);
  received_.Traced(then, got, false);
  EXPECT_EQ(Take(), 3 * kMs - kMs / 2);
}

TEST_F(ReceivedTest, WordThatIsNewerThanTheChargesWaitsForThem) {
  Run(20 * kMs, 1, 1);
  Tell();
  received_.Traced(now_ + 3 * kMs, got_ + 4 * kMs, false);
  EXPECT_EQ(Take(), 0);
  Run(2 * kMs, 1, 1);
  EXPECT_EQ(Take(), 0);
  Run(2 * kMs, 1, 1);
  EXPECT_EQ(Take(), kMs);
}

TEST_F(ReceivedTest, OldWordsSayNothing) {
  received_.Traced(now_, got_, false);
  EXPECT_EQ(Take(), 0) << "nothing was charged yet";
  Run(20 * kMs, 1, 1);
  Tell();
  Run(600 * kMs, 1, 1);
  received_.Traced(now_ - 550 * kMs, got_, false);
  EXPECT_EQ(Take(), 0) << "who knows what was charged then";
  Run(20 * kMs, 1, 0.5);
  Tell();
  EXPECT_EQ(Take(), -10 * kMs) << "the base still holds";
}

TEST_F(ReceivedTest, IdleTimeIsNotCompared) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(20 * kMs, 1, 1.5);
  Run(30 * kMs, 0, 1, /*busy=*/false);  // rests on the card
  Run(20 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), 0);
  Run(20 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs) << "from the new base on";
  Run(30 * kMs, 0, 1, /*busy=*/false);
  Tell();
  Run(2 * kMs, 0, 1, /*busy=*/false);
  Tell();
  Run(10 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 5 * kMs) << "the last base was the end of its rest";
}

// The trace may show them or not: what lies between is no difference.
TEST_F(ReceivedTest, ShortRestsAreNoDifference) {
  for (const double shown : {0.0, 0.5, 1.0}) {
    Run(20 * kMs, 1, 1);
    Tell();
    Take();
    for (int i = 0; i < 4; ++i) {
      Run(20 * kMs, 1, 1);
      Run(4 * kMs, 0, shown, /*busy=*/false);
    }
    Tell();
    EXPECT_EQ(Take(), 0) << shown;
    received_.Rebase();
  }
}

TEST_F(ReceivedTest, WhatIsMoreThanShortRestsIs) {
  Run(20 * kMs, 1, 1);
  Tell();
  for (int i = 0; i < 4; ++i) {
    Run(20 * kMs, 1, 1.5);
    Run(4 * kMs, 0, 1, /*busy=*/false);
  }
  Tell();
  EXPECT_EQ(Take(), 40 * kMs);
}

// One that rests nearly always, and is not on the card then, gets nothing for it.
TEST_F(ReceivedTest, RestsEarnNothing) {
  Run(20 * kMs, 1, 1);
  Tell();
  for (int i = 0; i < 20; ++i) {
    Run(2 * kMs, 1, 0);
    Run(18 * kMs, 0, 0, /*busy=*/false);
  }
  Tell();
  EXPECT_EQ(Take(), -20 * kMs) << "half of what was charged";
}

TEST_F(ReceivedTest, IdleTimeAfterTheMomentCountsToo) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(20 * kMs, 1, 1.5);
  const Nanos then = now_, got = got_;
  Run(24 * kMs, 0, 1, /*busy=*/false);
  received_.Traced(then, got, false);
  EXPECT_EQ(Take(), 0);
  Run(20 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), 0) << "still: it rested after the base";
}

TEST_F(ReceivedTest, LossesAndOtherProcessesBeginAnew) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(20 * kMs, 1, 1.5);
  Tell(/*lost=*/true);
  EXPECT_EQ(Take(), 0);
  Run(20 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs);
  received_.Rebase();
  got_ += 7 * kSecond;  // one came that has been there for long
  Run(20 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 0);
  Run(20 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs);
}

TEST_F(ReceivedTest, LossInAWordThatCannotBeComparedIsNotForgotten) {
  Run(20 * kMs, 1, 1);
  Tell();
  Run(20 * kMs, 1, 1.5);
  received_.Traced(now_ - 10 * kSecond, got_, /*lost=*/true);
  Tell();
  EXPECT_EQ(Take(), 0);
}

TEST_F(ReceivedTest, WaitingWordIsForgottenWithTheProcesses) {
  Run(20 * kMs, 1, 1);
  received_.Traced(now_ + kMs, got_ + kSecond, false);
  received_.Rebase();
  Run(20 * kMs, 1, 1);
  Tell();
  Run(20 * kMs, 1, 1.5);
  Tell();
  EXPECT_EQ(Take(), 10 * kMs);
}

TEST_F(ReceivedTest, TotalThatFallsIsANewCount) {
  Run(20 * kMs, 1, 1);
  Tell();
  got_ -= 30 * kMs;  // one was forgotten
  Run(20 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), 0);
  got_ -= kMs;  // a late record
  Run(20 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), -kMs);
}

TEST_F(ReceivedTest, GreatCorrectionsComeInParts) {
  Run(20 * kMs, 1, 1);
  Tell();
  got_ += 120 * kMs;
  for (const Nanos part : {50 * kMs, 50 * kMs, 20 * kMs, Nanos{0}}) {
    Run(2 * kMs, 1, 1);
    Tell();
    EXPECT_EQ(Take(), part);
  }
  Run(300 * kMs, 1, 0.5);
  Tell();
  Run(2 * kMs, 1, 1);
  Tell();
  EXPECT_EQ(Take(), -50 * kMs) << "nor do several words make a greater one";
}

TEST_F(ReceivedTest, ManySamplesAMillisecondReachFarEnoughBack) {
  Run(20 * kMs, 1, 1);
  Tell();
  const Nanos then = now_ + 10 * kMs;
  const Nanos end = now_ + 70 * kMs;
  while (now_ < end) {
    now_ += 20 * kMicrosecond;
    charged_ += 20 * kMicrosecond;
    received_.Charged(now_, charged_, rested_, true);
  }
  received_.Traced(then, got_ + 9 * kMs, false);
  EXPECT_EQ(Take(), -kMs);
}

// The loop as the daemon closes it: charges follow what was received, whatever the error.
TEST_F(ReceivedTest, ChargesFollowWhatWasReceived) {
  const Nanos charged = charged_;
  Run(20 * kMs, 1, 1);
  Tell();
  const Nanos before = charged_, got_before = got_;
  for (int i = 0; i < 200; ++i) {
    Run(10 * kMs, i % 3 == 0 ? 1 : 0.2, i % 5 == 0 ? 0.9 : 0.33);
    Tell();
    Take();
  }
  EXPECT_GT(charged_, charged);
  EXPECT_NEAR(static_cast<double>(charged_ - before + corrected_),
              static_cast<double>(got_ - got_before), 1000.0);
}

}  // namespace
}  // namespace flexai::operate
