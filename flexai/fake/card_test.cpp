#include "flexai/fake/card.h"

#include <gtest/gtest.h>

#include <atomic>

namespace flexai::fake {
namespace {

TaskPtr Launch(Card& card, Stream& stream, Nanos cost, std::function<int64_t()> work = nullptr,
               const std::vector<TaskPtr>& after = {}) {
  auto task = std::make_shared<Task>();
  task->work = std::move(work);
  task->cost = cost;
  task->compute = true;
  task->code_if_dependency_failed = -14;
  card.Submit(stream, task, after);
  return task;
}

TEST(Card, VirtualTimeIsExact) {
  Card card(CardConfig{});
  Stream one, two;
  const TaskPtr gate = card.NewManual();  // both are there before either begins
  const TaskPtr first = Launch(card, one, 3 * kSecond, nullptr, {gate});
  const TaskPtr second = Launch(card, one, 2 * kSecond);
  card.Complete(gate, 0);
  card.Drain(one);
  const Task a = card.Look(first), b = card.Look(second);
  EXPECT_EQ(a.ended_at - a.started_at, 3 * kSecond);
  EXPECT_EQ(b.started_at, a.ended_at);
  EXPECT_EQ(b.ended_at - b.started_at, 2 * kSecond);
  const TaskPtr other = Launch(card, two, kSecond);
  card.Drain(two);
  EXPECT_GE(card.Look(other).started_at, b.ended_at);  // one card, one launch at a time
  EXPECT_EQ(card.BusyTime(), 6 * kSecond);
  EXPECT_GE(card.Now(), card.Look(other).ended_at);
}

TEST(Card, AStreamKeepsItsOrder) {
  Card card(CardConfig{});
  Stream stream;
  std::vector<int> order;
  for (int i = 0; i < 200; ++i) {
    Launch(card, stream, 0, [&order, i] {
      order.push_back(i);
      return 0;
    });
  }
  card.Drain(stream);
  ASSERT_EQ(order.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Card, TasksWaitForOtherStreamsAndForTheApplication) {
  Card card(CardConfig{});
  Stream one, two;
  const TaskPtr gate = card.NewManual();
  std::atomic<int> step{0};
  const TaskPtr first =
      Launch(card, one, 0, [&] { return step.exchange(1) == 0 ? 0 : -1; }, {gate});
  const TaskPtr second =
      Launch(card, two, 0, [&] { return step.exchange(2) == 1 ? 0 : -1; }, {first});
  EXPECT_EQ(card.Look(first).state, Task::State::kQueued);
  EXPECT_TRUE(card.Complete(gate, 0));
  EXPECT_FALSE(card.Complete(gate, 0));
  EXPECT_EQ(card.Wait(second), 0);
  EXPECT_EQ(card.Wait(first), 0);
  EXPECT_EQ(step, 2);
}

TEST(Card, AFailedDependencySkipsTheWork) {
  Card card(CardConfig{});
  Stream stream;
  const TaskPtr gate = card.NewManual();
  bool ran = false;
  const TaskPtr task = Launch(card, stream, 0, [&] { return ran = true, 0; }, {gate});
  card.Complete(gate, -5);
  EXPECT_EQ(card.Wait(task), -14);
  EXPECT_FALSE(ran);
  const TaskPtr late = Launch(card, stream, 0, [&] { return ran = true, 0; }, {gate});
  EXPECT_EQ(card.Wait(late), -14);
  EXPECT_FALSE(ran);
  EXPECT_EQ(card.Wait(Launch(card, stream, 0)), 0);  // the stream itself goes on
}

TEST(Card, CallbacksRunOnceWithTheCode) {
  Card card(CardConfig{});
  Stream stream;
  const TaskPtr gate = card.NewManual();
  std::atomic<int> sum{0};
  const TaskPtr task = Launch(card, stream, 0, [] { return 7; }, {gate});
  card.WhenDone(task, [&](int64_t code) { sum += static_cast<int>(code); });
  card.Complete(gate, 0);
  card.Wait(task);
  Launch(card, stream, 0);
  card.WhenDone(task, [&](int64_t code) { sum += 100 * static_cast<int>(code); });
  card.Drain(stream);
  // The callback may run just after its task is seen as done.
  const Nanos deadline = MonotonicNow() + 10 * kSecond;
  while (sum != 707 && MonotonicNow() < deadline) {
  }
  EXPECT_EQ(sum, 707);
}

TEST(Card, SpinningUnitsBurnCpuTime) {
  CardConfig config;
  config.spin = true;
  Card card(config);
  Stream stream;
  const auto cpu = [] {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<Nanos>(now.tv_sec) * kSecond + now.tv_nsec;
  };
  const Nanos before = cpu();
  const TaskPtr task = Launch(card, stream, 20 * kMillisecond);
  card.Drain(stream);
  EXPECT_GE(cpu() - before, 2 * 20 * kMillisecond);  // both units
  const Task look = card.Look(task);
  EXPECT_GE(look.ended_at - look.started_at, 20 * kMillisecond);
}

TEST(Card, CostGrowsWithItemsAndDoesNotOverflow) {
  CardConfig config;
  config.launch_ns = 100;
  config.item_ns = 3;
  const Card card(config);
  EXPECT_EQ(card.CostOf(0), 100);
  EXPECT_EQ(card.CostOf(10), 100 + 5 * 3);
  EXPECT_EQ(card.CostOf(~uint64_t{0} - 1), 100 + 3600 * kSecond);
}

TEST(Card, EnvironmentIsReadAndMisspellingsAreNot) {
  setenv("FLEXAI_FAKE_MEMORY", "65536", 1);
  setenv("FLEXAI_FAKE_UNITS", "two", 1);
  setenv("FLEXAI_FAKE_SPIN", "1", 1);
  const CardConfig config = CardConfig::FromEnvironment();
  EXPECT_EQ(config.memory_bytes, 65536u);
  EXPECT_EQ(config.compute_units, 2u);
  EXPECT_TRUE(config.spin);
}

}  // namespace
}  // namespace flexai::fake
