// The meter on threads of this process.
#include "flexai/operate/worker_meter.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace flexai::operate {
namespace {

constexpr char kName[] = "meter-test";

bool Await(const std::function<bool()>& happened) {
  const Nanos deadline = MonotonicNow() + 20 * kSecond;
  while (!happened()) {
    if (MonotonicNow() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A thread with a name that computes or sleeps as told.
class TestWorker {
 public:
  explicit TestWorker(const char* name) {
    thread_ = std::thread([this, name] {
      pthread_setname_np(pthread_self(), name);
      named_ = true;
      std::unique_lock<std::mutex> lock(mu_);
      while (!ended_) {
        if (!works_) {
          changed_.wait(lock);
          continue;
        }
        lock.unlock();
        for (int i = 0; i < 10000; ++i) turns_.fetch_add(1, std::memory_order_relaxed);
        lock.lock();
      }
    });
    EXPECT_TRUE(Await([&] { return named_.load(); }));
  }
  ~TestWorker() { End(); }
  void Work(bool works) {
    std::lock_guard<std::mutex> lock(mu_);
    works_ = works;
    changed_.notify_all();
  }
  void End() {
    if (!thread_.joinable()) return;
    {
      std::lock_guard<std::mutex> lock(mu_);
      ended_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

 private:
  std::atomic<bool> named_{false};
  std::atomic<uint64_t> turns_{0};
  std::mutex mu_;
  std::condition_variable changed_;
  bool works_ = false;
  bool ended_ = false;
  std::thread thread_;
};

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

TEST(WorkerMeterTest, ProcessThatIsNotThereHasNoWorkers) {
  WorkerMeter meter(1 << 30);
  meter.Find(kName);
  EXPECT_EQ(meter.workers(), 0u);
  EXPECT_FALSE(meter.Active());
  EXPECT_EQ(meter.CpuTime(), 0);
}

}  // namespace
}  // namespace flexai::operate
