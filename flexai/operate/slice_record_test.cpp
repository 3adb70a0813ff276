// What a late hold and a late start cost, told by a slice's record from the page that its agent
// writes.
#include "flexai/operate/slice_record.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace flexai::operate {
namespace {

class Lateness : public ::testing::Test {
 protected:
  void SetUp() override {
    auto region = slice::RegionMap::Create("s-1");
    ASSERT_TRUE(region.ok());
    record_.region = std::move(region).value();
    record_.processes.push_back(std::make_unique<Process>(getpid(), 0, -1));
    // Work was seen: launches tell where no worker threads are known.
    record_.region->slots[0].launches = 1;
    ASSERT_TRUE(record_.Busy(kStart));
  }

  // The agent obeys the gate `late` after the daemon's word.
  void Obey(Nanos changed, Nanos late) {
    record_.region->slots[0].turned_at = changed + late;
    record_.region->slots[0].obeyed = record_.header().gate.load();
  }

  static constexpr Nanos kStart = kSecond;
  SliceRecord record_{"s-1", 1};
};

TEST_F(Lateness, AHoldIsChargedUntilItIsObeyed) {
  record_.SetRun(false, /*handed_over=*/false, kStart);
  EXPECT_EQ(record_.TakeCorrection(), 0) << "nobody has obeyed yet";
  Obey(kStart, kMillisecond);
  EXPECT_EQ(record_.TakeCorrection(), kMillisecond);
  EXPECT_EQ(record_.TakeCorrection(), 0) << "told once";
}

TEST_F(Lateness, AStartIsChargedOnlyFromThenOn) {
  record_.SetRun(false, /*handed_over=*/true, kStart);
  record_.SetRun(true, /*handed_over=*/false, 2 * kStart);
  Obey(2 * kStart, kMillisecond);
  EXPECT_EQ(record_.TakeCorrection(), -kMillisecond);
}

TEST_F(Lateness, CancelsOutWhereTheCardIsHandedOver) {
  record_.SetRun(false, /*handed_over=*/true, kStart);
  Obey(kStart, kMillisecond);
  EXPECT_EQ(record_.TakeCorrection(), 0);
}

TEST_F(Lateness, OfAStoppedProcessIsNoCardTime) {
  record_.SetRun(false, /*handed_over=*/false, kStart);
  Obey(kStart, 5 * kSecond);
  EXPECT_LE(record_.TakeCorrection(), 10 * kMillisecond);
  record_.SetRun(true, /*handed_over=*/false, 10 * kSecond);
  Obey(10 * kSecond, 5 * kSecond);
  EXPECT_GE(record_.TakeCorrection(), -10 * kMillisecond);
}

}  // namespace
}  // namespace flexai::operate
