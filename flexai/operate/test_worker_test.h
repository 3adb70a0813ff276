// Threads that tests can let work and rest as a driver's workers do.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "flexai/base/clock.h"

namespace flexai::operate {

inline bool Await(const std::function<bool()>& happened) {
  const Nanos deadline = MonotonicNow() + 20 * kSecond;
  while (!happened()) {
    if (MonotonicNow() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// A thread with a name that computes or sleeps as told.
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
  /// From now on it runs on this core alone.
  void PinTo(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    EXPECT_EQ(pthread_setaffinity_np(thread_.native_handle(), sizeof(set), &set), 0);
  }
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

}  // namespace flexai::operate
