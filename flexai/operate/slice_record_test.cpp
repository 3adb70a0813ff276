// What a late hold, a late start and others on the card's cores cost, told by a slice's record from
// the page that its agent writes and from its workers' time.
#include "flexai/operate/slice_record.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "flexai/operate/test_worker_test.h"

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
  SliceRecord record_{"s-1", 0, 1, 1};
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

class Turn : public ::testing::Test {
 protected:
  Turn() {
    record_.processes.push_back(std::make_unique<Process>(getpid(), 0, -1));
    const int core = sched_getcpu();
    worker_.PinTo(core);
    other_.PinTo(core);
    meter().Find(kWorkerThreadName);
  }
  WorkerMeter& meter() { return record_.processes[0]->meter; }
  // The worker and another thread want the same core until the worker has waited for some time.
  Nanos Quarrel() {
    const Nanos before = meter().Waited();
    other_.Work(true);
    worker_.Work(true);
    EXPECT_TRUE(Await([&] { return meter().Waited() > before + 10 * kMillisecond; }));
    other_.Work(false);
    worker_.Work(false);
    return meter().Waited() - before;
  }

  TestWorker worker_{kWorkerThreadName};
  TestWorker other_{"other"};
  SliceRecord record_{"s-1", 0, 1, 1};
};

TEST_F(Turn, GivesBackWhatOthersTook) {
  record_.BeginTurn(0);
  Quarrel();
  record_.EndTurn(8 * kMillisecond, 2);
  EXPECT_EQ(record_.TakeCorrection(), -4 * kMillisecond) << "others had a core of two for 8 ms";
  EXPECT_EQ(record_.TakeCorrection(), 0) << "told once";
}

TEST_F(Turn, GivesBackNoMoreThanItsWorkersWaited) {
  record_.BeginTurn(0);
  const Nanos waited = Quarrel();
  record_.EndTurn(3600 * kSecond, 1);
  const Nanos given = -record_.TakeCorrection();
  EXPECT_GE(given, waited);
  EXPECT_LT(given, kSecond);
}

TEST_F(Turn, GivesNothingBackForItsOwnThreads) {
  record_.BeginTurn(5 * kSecond);
  Quarrel();
  record_.EndTurn(5 * kSecond, 1);
  EXPECT_EQ(record_.TakeCorrection(), 0);
}

TEST_F(Turn, ThatNeverBeganCostsNothing) {
  Quarrel();
  record_.EndTurn(kSecond, 1);
  EXPECT_EQ(record_.TakeCorrection(), 0);
}

}  // namespace
}  // namespace flexai::operate
