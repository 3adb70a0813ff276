#include "flexai/schedule/sim/queueing.h"

#include <gtest/gtest.h>

#include <numeric>

#include "flexai/schedule/dice.h"

namespace flexai::schedule::sim {
namespace {

QueueingResult Simulate(const std::vector<Pool>& pools, const std::vector<TimedJob>& jobs,
                        std::string_view policy) {
  const auto rules = FindQueuePolicy(policy);
  EXPECT_TRUE(rules.ok());
  auto result = SimulateQueue(pools, jobs, *rules);
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return *std::move(result);
}

int64_t Sum(const QueueingResult& result) {
  return std::accumulate(result.queue_s.begin(), result.queue_s.end(), int64_t{0});
}

// One node: six cards are in use until 100; then come eight cards, and one for a moment.
const std::vector<Pool> kOneNode = {{"a", 1}};
const std::vector<TimedJob> kHeadAndShort = {{0, 100, 6, 0}, {1, 50, 8, 0}, {2, 10, 1, 0}};

TEST(Queueing, FifoLetsNobodyPass) {
  // The eight wait 99 s, the one until they end at 150.
  EXPECT_EQ(Sum(Simulate(kOneNode, kHeadAndShort, "fifo")), 99 + 148);
}

TEST(Queueing, SkippingLetsThePassThatFit) {
  EXPECT_EQ(Sum(Simulate(kOneNode, kHeadAndShort, "fifo-skip")), 99);
}

TEST(Queueing, BackfillKeepsTheNodeWhileRunTimesAreUnknown) {
  const QueueingResult result = Simulate(kOneNode, kHeadAndShort, "backfill");
  EXPECT_EQ(Sum(result), 99 + 148);
  EXPECT_EQ(result.reservations, 1u + 1u);  // the one waits at the head afterwards
  EXPECT_EQ(result.late_heads, 0u);
}

TEST(Queueing, BackfillLetsPassWhoWasShortBefore) {
  std::vector<TimedJob> jobs;
  for (int64_t i = 0; i < 10; ++i) jobs.push_back({i * 20, 10, 1, 0});
  // Long ones make the estimate of the six long, so that the node is kept for long.
  for (int64_t i = 0; i < 5; ++i) jobs.push_back({1000 + i * 1000, 1000, 6, 0});
  jobs.push_back({7000, 1000, 6, 0});
  jobs.push_back({7001, 50, 8, 0});
  jobs.push_back({7002, 10, 1, 0});
  const QueueingResult result = Simulate(kOneNode, jobs, "backfill");
  EXPECT_EQ(Sum(result), 999);
  EXPECT_EQ(result.late_heads, 0u);
}

TEST(Queueing, FlexaiSuspendsWhoWasLetPass) {
  // What ran before makes the last one look short, so it may use what is idle beside the head; it
  // leaves when the head can start.
  std::vector<TimedJob> jobs;
  for (int64_t i = 0; i < 5; ++i) jobs.push_back({i * 20, 10, 1, 0});
  for (int64_t i = 0; i < 5; ++i) jobs.push_back({1000 + i * 1000, 1000, 6, 0});
  jobs.push_back({7000, 100, 6, 0});
  jobs.push_back({7001, 50, 8, 0});
  jobs.push_back({7002, 1000, 1, 0});
  const QueueingResult result = Simulate(kOneNode, jobs, "flexai");
  EXPECT_EQ(result.suspensions, 1u);
  EXPECT_EQ(result.late_heads, 0u);
  // In the order of their ends: the head waited for the six, the last for the head and 60 to go on.
  EXPECT_EQ(std::vector<int64_t>(result.queue_s.end() - 2, result.queue_s.end()),
            (std::vector<int64_t>{99, 50 + 60}));
}

TEST(Queueing, SkippingLetsTheHeadWait) {
  const std::vector<TimedJob> jobs = {{0, 100, 6, 0}, {1, 50, 8, 0}, {2, 1000, 1, 0}};
  EXPECT_EQ(Simulate(kOneNode, jobs, "fifo-skip").queue_s, (std::vector<int64_t>{0, 0, 1001}));
}

TEST(Queueing, SrtfPrefersTheShortest) {
  const std::vector<TimedJob> jobs = {{0, 100, 8, 0}, {10, 20, 8, 0}, {15, 90, 8, 0}};
  EXPECT_EQ(Simulate(kOneNode, jobs, "srtf").queue_s, (std::vector<int64_t>{0, 20, 105}));
  EXPECT_EQ(Simulate(kOneNode, jobs, "sjf").queue_s, (std::vector<int64_t>{0, 90, 105}));
}

TEST(Queueing, FlexaiKeepsTheNodeForTheFirstInLine) {
  const QueueingResult result = Simulate(kOneNode, kHeadAndShort, "flexai");
  EXPECT_EQ(Sum(result), 99 + 148);
  EXPECT_EQ(result.reservations, 1u + 1u);
  EXPECT_EQ(result.late_heads, 0u);
  EXPECT_EQ(result.suspensions, 0u);
}

TEST(Queueing, LargeJobsTakeWholeNodesAndTooLargeOnesAreRefused) {
  const std::vector<Pool> pools = {{"a", 2}, {"b", 1}};
  const std::vector<TimedJob> jobs = {
      {0, 10, 12, 0}, {1, 10, 4, 0}, {2, 10, 8, 0}, {3, 10, 12, 1}, {4, 10, 8, 1}};
  const QueueingResult result = Simulate(pools, jobs, "fifo");
  EXPECT_EQ(result.refused, 1u);
  EXPECT_EQ(result.queue_s, (std::vector<int64_t>{0, 0, 0, 8}));
}

TEST(Queueing, HeadsAreNeverLateWithDrawnJobs) {
  const std::vector<Pool> pools = {{"a", 3}, {"b", 1}};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Dice dice(seed);
    std::vector<TimedJob> jobs;
    int64_t at = 0;
    for (int i = 0; i < 400; ++i) {
      at += dice.Below(400);
      static constexpr uint32_t kSizes[] = {1, 1, 1, 1, 2, 4, 8, 12, 16, 24};
      const int64_t run = int64_t{1} << dice.Below(16);
      jobs.push_back({at, run + dice.Below(60), kSizes[dice.Below(10)], dice.Below(2)});
    }
    const QueueingResult result = Simulate(pools, jobs, "flexai");
    EXPECT_EQ(result.late_heads, 0u) << seed;
    EXPECT_GT(result.reservations, 0u);
    EXPECT_EQ(result.queue_s.size() + result.refused, jobs.size());
    for (const int64_t queue : result.queue_s) EXPECT_GE(queue, 0);
    EXPECT_EQ(result.queue_s, Simulate(pools, jobs, "flexai").queue_s);
    for (const std::string_view policy : {"fifo", "fifo-skip", "sjf", "srtf", "backfill"}) {
      EXPECT_EQ(Simulate(pools, jobs, policy).queue_s.size(), result.queue_s.size()) << policy;
    }
  }
}

TEST(Queueing, RefusesWhatItCannotKnow) {
  EXPECT_FALSE(FindQueuePolicy("best").ok());
  const auto rules = FindQueuePolicy("fifo");
  EXPECT_FALSE(SimulateQueue(kOneNode, std::vector<TimedJob>{{0, 1, 1, 7}}, *rules).ok());
}

}  // namespace
}  // namespace flexai::schedule::sim
