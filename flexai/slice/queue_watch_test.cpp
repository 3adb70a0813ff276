#include "flexai/slice/queue_watch.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace flexai::slice {
namespace {

class QueueWatchTest : public ::testing::Test {
 protected:
  QueueWatchTest() { watch_.Show(&word_, &emptied_at_); }
  bool Full() const { return (word_.load() & QueueWatch::kFull) != 0; }
  void Wait(uint64_t queue) { watch_.Waited(queue, watch_.Before(queue)); }
  void Launch(uint64_t queue, uint64_t group = 0) {
    if (!watch_.Launched(queue, group)) watch_.LaunchedElsewhere();
  }
  void WaitForAll() {
    watch_.BeforeAll();
    watch_.WaitedAll();
  }

  std::atomic<uint32_t> word_{0};
  std::atomic<Nanos> emptied_at_{0};
  QueueWatch watch_;
};

TEST_F(QueueWatchTest, TellsFromTheStart) {
  EXPECT_EQ(word_.load(), QueueWatch::kTells);
  EXPECT_FALSE(Full());
}

TEST_F(QueueWatchTest, WaitEmptiesItsOwnQueueAlone) {
  Launch(7);
  Launch(8);
  Wait(7);
  EXPECT_TRUE(Full());
  EXPECT_EQ(emptied_at_.load(), 0);
  const Nanos before = MonotonicNow();
  Wait(8);
  EXPECT_FALSE(Full());
  EXPECT_GE(emptied_at_.load(), before);
}

TEST_F(QueueWatchTest, LaunchDuringAWaitStays) {
  Launch(7);
  const uint64_t before = watch_.Before(7);
  Launch(7);
  watch_.Waited(7, before);
  EXPECT_TRUE(Full());
  watch_.BeforeAll();
  Launch(7);
  watch_.WaitedAll();
  EXPECT_TRUE(Full());
  WaitForAll();
  EXPECT_FALSE(Full());
  watch_.BeforeAll();
  Launch(7);
  watch_.WaitedAll();
  EXPECT_TRUE(Full());
}

TEST_F(QueueWatchTest, WaitForAQueueNeverUsedSaysNothing) {
  Launch(7);
  Wait(9);
  EXPECT_TRUE(Full());
}

TEST_F(QueueWatchTest, MoreQueuesThanPlaces) {
  for (uint64_t queue = 0; queue < 100; ++queue) Launch(queue);
  for (uint64_t queue = 0; queue < 100; ++queue) Wait(queue);
  // Those that found no place are known to be empty only once everything is.
  EXPECT_TRUE(Full());
  WaitForAll();
  EXPECT_FALSE(Full());
  // Places of empty queues are taken again, one after the other.
  for (uint64_t queue = 1000; queue < 1100; ++queue) {
    Launch(queue);
    Wait(queue);
    EXPECT_FALSE(Full()) << queue;
  }
}

TEST_F(QueueWatchTest, WorkThatFoundNoPlaceIsToldDone) {
  uint64_t launches = 0;
  for (uint64_t queue = 0; queue < QueueWatch::kQueues; ++queue) Launch(queue);
  EXPECT_FALSE(watch_.IsFullElsewhere(&launches));
  EXPECT_FALSE(watch_.Launched(100)) << "no place is left";
  watch_.LaunchedElsewhere();
  ASSERT_TRUE(watch_.IsFullElsewhere(&launches));
  EXPECT_FALSE(watch_.IsFullOnlyElsewhere());
  for (uint64_t queue = 0; queue < QueueWatch::kQueues; ++queue) Wait(queue);
  EXPECT_TRUE(watch_.IsFullOnlyElsewhere());
  watch_.LaunchedElsewhere();
  watch_.DoneElsewhere(launches);
  EXPECT_TRUE(Full()) << "one came after it";
  ASSERT_TRUE(watch_.IsFullElsewhere(&launches));
  watch_.DoneElsewhere(launches);
  EXPECT_FALSE(Full());
}

TEST_F(QueueWatchTest, MarkCoversWhatIsBeforeIt) {
  Launch(7);
  watch_.Marked(0x1234, 7);
  watch_.WaitedFor(0x1234);
  EXPECT_FALSE(Full());
  Launch(7);
  watch_.WaitedFor(0x1234);
  EXPECT_TRUE(Full());
  watch_.WaitedFor(0x9999);
  EXPECT_TRUE(Full());
}

// A stream that is destroyed, whose name the driver may give to the next.
TEST_F(QueueWatchTest, WorkOfAQueueWithoutNameGoesOn) {
  Launch(7);
  watch_.Marked(0x1234, 7);
  EXPECT_GE(watch_.Unnamed(7), 0);
  EXPECT_TRUE(Full());
  Launch(7);
  Wait(7);
  EXPECT_TRUE(Full()) << "the wait was for the next one of this name";
  watch_.WaitedFor(0x1234);
  EXPECT_FALSE(Full());
  EXPECT_EQ(watch_.Unnamed(7), -1) << "nothing is in it";

  Launch(7);
  const int at = watch_.Unnamed(7);
  ASSERT_GE(at, 0);
  QueueWatch::Work work = {};
  ASSERT_TRUE(watch_.IsFull(static_cast<uint32_t>(at), &work));
  EXPECT_EQ(work.queue, QueueWatch::kNoName);
  watch_.Done(static_cast<uint32_t>(at), work.launches);
  EXPECT_FALSE(Full());
}

TEST_F(QueueWatchTest, AGroupEndsAlone) {
  Launch(7, 1);
  Launch(8, 2);
  watch_.BeforeAll();
  watch_.WaitedGroup(1);
  EXPECT_TRUE(Full());
  QueueWatch::Work work = {};
  int full = 0;
  for (uint32_t at = 0; at < QueueWatch::kQueues; ++at) full += watch_.IsFull(at, &work);
  EXPECT_EQ(full, 1);
  EXPECT_EQ(work.group, 2u);
  EXPECT_EQ(work.launches, 1u);
  watch_.GroupGone(1);
  EXPECT_TRUE(Full());
  watch_.GroupGone(2);
  EXPECT_FALSE(Full());
  for (uint64_t q = 0; q < 100; ++q) Launch(q);
  watch_.AllGone();
  EXPECT_FALSE(Full());
}

TEST_F(QueueWatchTest, ShowsWhatWasQueuedBefore) {
  QueueWatch late;
  late.Launched(3);
  std::atomic<uint32_t> word{0};
  std::atomic<Nanos> emptied_at{0};
  late.Show(&word, &emptied_at);
  EXPECT_NE(word.load() & QueueWatch::kFull, 0u);
  late.Forget();
  late.Launched(4);
  EXPECT_NE(word.load() & QueueWatch::kFull, 0u);
}

// A launch after the last wait is always shown, whatever the threads do.
TEST_F(QueueWatchTest, NoLaunchIsLost) {
  for (int round = 0; round < 2000; ++round) {
    std::thread waits([&] {
      for (int i = 0; i < 10; ++i) Wait(5);
    });
    Launch(5);
    Launch(5);
    waits.join();
    Launch(5);
    EXPECT_TRUE(Full());
    Wait(5);
    EXPECT_FALSE(Full());
  }
}

TEST_F(QueueWatchTest, ManyThreads) {
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20000; ++i) {
        Launch(t);
        if (i % 3 == 0) Wait(t);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(Full());
  WaitForAll();
  EXPECT_FALSE(Full());
}

}  // namespace
}  // namespace flexai::slice
