// Moments of a driver that reads one of this host's clocks, before, in and after a hold.
#include "flexai/backend/opencl/card_clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include <memory>

namespace flexai::backend::opencl {
namespace {

uint64_t Now(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec * kSecond + now.tv_nsec);
}

class CardClockTest : public ::testing::TestWithParam<clockid_t> {
 protected:
  std::unique_ptr<slice::HoldTimes> times_ = std::make_unique<slice::HoldTimes>();
  CardClock clock_{*times_};
};

TEST_P(CardClockTest, StandsStillInAHold) {
  const Nanos host = MonotonicNow();
  const uint64_t now = Now(GetParam());
  const auto ago = [&](Nanos time) { return now - static_cast<uint64_t>(time); };
  times_->Begin(host - 30 * kMillisecond);
  times_->End(host - 10 * kMillisecond);
  const uint64_t end = clock_.FromDriver(now);
  EXPECT_EQ(now - end, 20 * kMillisecond) << "all of the hold";
  const uint64_t begin = clock_.FromDriver(ago(40 * kMillisecond));
  EXPECT_NEAR(static_cast<double>(end - begin), 20 * kMillisecond, kMillisecond);
  const uint64_t inside = clock_.FromDriver(ago(20 * kMillisecond));
  EXPECT_NEAR(static_cast<double>(inside - begin), 10 * kMillisecond, kMillisecond);
}

INSTANTIATE_TEST_SUITE_P(OfTheHost, CardClockTest,
                         ::testing::Values(CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC, CLOCK_REALTIME));

TEST(CardClock, LeavesAnUnknownClockAlone) {
  auto times = std::make_unique<slice::HoldTimes>();
  times->Begin(0);
  times->End(MonotonicNow());
  CardClock clock(*times);
  EXPECT_EQ(clock.FromDriver(4711), 4711u);
}

}  // namespace
}  // namespace flexai::backend::opencl
