#include "flexai/slice/hold_times.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace flexai::slice {
namespace {

class HoldTimesTest : public ::testing::Test {
 protected:
  std::unique_ptr<HoldTimes> times_ = std::make_unique<HoldTimes>();
};

TEST_F(HoldTimesTest, NothingIsHeldAtFirst) { EXPECT_EQ(times_->HeldUntil(kSecond), 0); }

TEST_F(HoldTimesTest, CountsWholeHoldsAndTheOneInWhichTheMomentLies) {
  times_->Begin(100);
  times_->End(150);
  times_->Begin(200);
  EXPECT_EQ(times_->HeldUntil(99), 0);
  EXPECT_EQ(times_->HeldUntil(120), 20);
  EXPECT_EQ(times_->HeldUntil(170), 50);
  EXPECT_EQ(times_->HeldUntil(230), 80) << "it lasts still";
  times_->End(210);
  EXPECT_EQ(times_->HeldUntil(230), 60);
}

TEST_F(HoldTimesTest, ForgetsTheOldestButNotTheirLength) {
  const auto holds = static_cast<Nanos>(3 * HoldTimes::kKept);
  for (Nanos i = 0; i < holds; ++i) {
    times_->Begin(100 * i);
    times_->End(100 * i + 40);
  }
  EXPECT_EQ(times_->HeldUntil(100 * holds), 40 * holds);
  EXPECT_EQ(times_->HeldUntil(100 * (holds - 10) + 20), 40 * (holds - 10) + 20);
  const Nanos kept = 40 * (holds - static_cast<Nanos>(HoldTimes::kKept) + 2);
  EXPECT_EQ(times_->HeldUntil(0), kept) << "what came before the oldest one known";
}

TEST_F(HoldTimesTest, ReadersNeverSeeHalfAHold) {
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (Nanos i = 1; i <= 300'000; ++i) {
      times_->Begin(100 * i);
      times_->End(100 * i + 50);
    }
    done = true;
  });
  // Half of all time is held, so every moment far enough back has one right answer.
  Nanos last = 0;
  while (!done) {
    const Nanos held = times_->HeldUntil(INT64_MAX / 2);
    EXPECT_GE(held, 0);
    // The last hold may last still, for ever as far as the reader knows.
    if (held > INT64_MAX / 4) continue;
    EXPECT_EQ(held % 50, 0);
    EXPECT_GE(held, last);
    last = held;
  }
  writer.join();
  EXPECT_EQ(times_->HeldUntil(INT64_MAX / 2), 300'000 * 50);
}

}  // namespace
}  // namespace flexai::slice
