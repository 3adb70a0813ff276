// The meter on threads of this process.
#include "flexai/operate/worker_meter.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "flexai/operate/test_worker_test.h"

namespace flexai::operate {
namespace {

constexpr char kName[] = "meter-test";

TEST(WorkerMeterTest, FindsThreadsByTheBeginningOfTheirName) {
  TestWorker first("meter-test-0");
  TestWorker second("meter-test-1");
  TestWorker other("other");
  WorkerMeter meter(getpid());
  EXPECT_EQ(meter.workers(), 0u);
  meter.Find(kName);
  EXPECT_EQ(meter.workers(), 2u);
  meter.Find(kName);
  EXPECT_EQ(meter.workers(), 2u);
}

TEST(WorkerMeterTest, ForgetsThreadsThatEnded) {
  TestWorker stays("meter-test-0");
  WorkerMeter meter(getpid());
  {
    TestWorker goes("meter-test-1");
    meter.Find(kName);
    ASSERT_EQ(meter.workers(), 2u);
  }
  EXPECT_GE(meter.CpuTime(), 0);  // of a thread that is gone: nothing, and no harm
  meter.Active();
  EXPECT_TRUE(Await([&] {
    meter.Find(kName);
    return meter.workers() == 1;
  }));
}

TEST(WorkerMeterTest, SeesWorkAndRest) {
  TestWorker worker("meter-test-0");
  WorkerMeter meter(getpid());
  meter.Find(kName);
  // What ran before the first look counts as new, so the first answer says little.
  EXPECT_TRUE(Await([&] { return !meter.Active(); }));
  EXPECT_FALSE(meter.Active());
  worker.Work(true);
  EXPECT_TRUE(Await([&] { return meter.Active(); }));
  worker.Work(false);
  EXPECT_TRUE(Await([&] { return !meter.Active(); }));
}

TEST(WorkerMeterTest, CountsTimeOnCores) {
  TestWorker worker("meter-test-0");
  WorkerMeter meter(getpid());
  meter.Find(kName);
  const Nanos before = meter.CpuTime();
  worker.Work(true);
  EXPECT_TRUE(Await([&] { return meter.CpuTime() > before + 20 * kMillisecond; }));
}

TEST(WorkerMeterTest, CountsTimeWithoutACore) {
  TestWorker worker("meter-test-0");
  TestWorker other("other");
  const int core = sched_getcpu();
  worker.PinTo(core);
  other.PinTo(core);
  WorkerMeter meter(getpid());
  meter.Find(kName);
  const Nanos before = meter.Waited();
  other.Work(true);
  worker.Work(true);
  EXPECT_TRUE(Await([&] { return meter.Waited() > before + 10 * kMillisecond; }));
}

TEST(WorkerMeterTest, ProcessThatIsNotThereHasNoWorkers) {
  WorkerMeter meter(1 << 30);
  meter.Find(kName);
  EXPECT_EQ(meter.workers(), 0u);
  EXPECT_FALSE(meter.Active());
  EXPECT_EQ(meter.CpuTime(), 0);
}

}  // namespace
}  // namespace flexai::operate
