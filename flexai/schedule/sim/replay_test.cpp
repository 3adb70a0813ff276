#include "flexai/schedule/sim/replay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "flexai/schedule/dice.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/sim/arrivals.h"

namespace flexai::schedule::sim {
namespace {

int64_t Asked(const std::vector<Request>& pods, const std::vector<uint32_t>& order) {
  return std::accumulate(order.begin(), order.end(), int64_t{0},
                         [&](int64_t sum, uint32_t pod) { return sum + CardDemand(pods[pod]); });
}

const std::vector<Request> kPods = {{.cards = 1, .share = 500},
                                    {.cards = 1, .share = 300},
                                    {.cpu_milli = 1},
                                    {.cards = 2, .share = 1000}};

TEST(Arrivals, EachPodComesOnceThenSomeAgain) {
  const std::vector<uint32_t> order = DrawArrivals(kPods, 20000, 42);
  std::vector<uint32_t> first(order.begin(), order.begin() + 4);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, std::vector<uint32_t>({0, 1, 2, 3}));
  EXPECT_LE(Asked(kPods, order), 20000);
  EXPECT_GT(Asked(kPods, order), 20000 - 2000);
  EXPECT_EQ(order, DrawArrivals(kPods, 20000, 42));
  EXPECT_NE(order, DrawArrivals(kPods, 20000, 43));
}

TEST(Arrivals, TooLongAListLosesPods) {
  EXPECT_LE(Asked(kPods, DrawArrivals(kPods, 900, 42)), 900);
  EXPECT_TRUE(DrawArrivals({}, 900, 42).empty());
  // Pods without cards alone can never ask for enough.
  const std::vector<Request> plain = {{.cpu_milli = 1}};
  EXPECT_EQ(DrawArrivals(plain, 900, 42).size(), 1u);
}

TEST(Spread, IsMeanAndSampleDeviation) {
  const std::vector<double> values = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(SpreadOf(values).mean, 2.5);
  EXPECT_NEAR(SpreadOf(values).stddev, 1.2909944, 1e-6);
  EXPECT_EQ(SpreadOf(std::vector<double>{7}).stddev, 0);
}

// A made-up cluster and list with the mix of the real one.
struct Made {
  std::vector<Node> nodes;
  std::vector<Request> pods;
};

Made MakeUp() {
  static constexpr Milli kShares[] = {200, 460, 500, 810, 1000, 1000, 1000, 1000};
  static constexpr uint32_t kCards[] = {1, 1, 2, 4, 8};
  Made made;
  Dice dice(1);
  for (int i = 0; i < 120; ++i) {
    const uint32_t cards = dice.Below(2) > 0 ? 8 : 2;
    made.nodes.push_back({.cpu_milli = 12000 * cards,
                          .memory_mib = 65536 * cards,
                          .cards = cards,
                          .model = dice.Below(3)});
  }
  for (int i = 0; i < 700; ++i) {
    Request pod{.cpu_milli = 1000 * (1 + dice.Below(12)), .memory_mib = 16384};
    if (dice.Below(8) > 0) {
      pod.share = kShares[dice.Below(8)];
      pod.cards = pod.share == kWholeCard && dice.Below(10) == 0 ? kCards[dice.Below(5)] : 1;
    }
    made.pods.push_back(pod);
  }
  return made;
}

TEST(Replay, EveryPolicyFillsAMadeUpCluster) {
  const Made made = MakeUp();
  const std::vector<double> marks = {0.5, 1.0, 1.3};
  std::vector<double> ends;
  for (const std::string_view policy : PolicyNames()) {
    const auto result = Replay({made.nodes, made.pods, policy, 1.3, 42, 0, false, marks});
    ASSERT_TRUE(result.ok()) << policy << ": " << result.status().ToString();
    ASSERT_EQ(result->looks.size(), 3u);
    EXPECT_NEAR(result->looks[0].allocated, 0.5, 0.02) << policy;
    for (const Look& look : result->looks) {
      EXPECT_LE(look.allocated + look.fragmented, 1.0 + 1e-9) << policy;
    }
    EXPECT_GE(result->looks[2].allocated, result->looks[1].allocated);
    EXPECT_GT(result->looks[2].allocated, 0.75) << policy;
    EXPECT_LE(result->placed, result->decisions);
    ends.push_back(result->looks[2].allocated);
    const auto again = Replay({made.nodes, made.pods, policy, 1.3, 42, 0, false, marks});
    EXPECT_EQ(again->looks[2].allocated, ends.back()) << policy;
    EXPECT_EQ(again->looks[2].fragmented, result->looks[2].fragmented) << policy;
  }
  EXPECT_GT(ends.front(), ends.back()) << "ours against random";
}

TEST(Replay, MovesMakeRoom) {
  const Made made = MakeUp();
  const std::vector<double> marks = {1.0};
  const auto still = Replay({made.nodes, made.pods, "random", 1.3, 42, 0, false, marks});
  const auto moved = Replay({made.nodes, made.pods, "random", 1.3, 42, 20, false, marks});
  ASSERT_TRUE(moved.ok()) << moved.status().ToString();
  EXPECT_EQ(still->moves, 0u);
  EXPECT_EQ(moved->moves, 20u);
  EXPECT_GT(moved->looks[0].allocated, still->looks[0].allocated);
}

TEST(Replay, RemoteUsesCardsWithoutCpu) {
  const Node nodes[] = {{.cpu_milli = 3000, .memory_mib = 10, .cards = 4},
                        {.cpu_milli = 64000, .memory_mib = 65536}};
  const Request pods[] = {{.cpu_milli = 8000, .memory_mib = 1024, .cards = 1, .share = kWholeCard}};
  const std::vector<double> marks = {1.0};
  const auto local = Replay({nodes, pods, "flexai", 1, 1, 0, false, marks});
  const auto remote = Replay({nodes, pods, "flexai", 1, 1, 0, true, marks});
  ASSERT_TRUE(remote.ok()) << remote.status().ToString();
  EXPECT_EQ(local->placed, 0u);
  EXPECT_EQ(remote->placed, 4u);
  EXPECT_EQ(remote->remote, 4u);
  EXPECT_EQ(remote->looks[0].allocated, 1);
}

TEST(Replay, LearnsWhatIsTypical) {
  const Made made = MakeUp();
  const std::vector<double> marks = {0.2, 1.0};
  const auto told = Replay({made.nodes, made.pods, "flexai", 1.0, 42, 0, false, marks});
  const auto learnt = Replay({made.nodes, made.pods, "flexai", 1.0, 42, 0, false, marks, true});
  ASSERT_TRUE(learnt.ok()) << learnt.status().ToString();
  EXPECT_NE(learnt->looks[0].fragmented, told->looks[0].fragmented) << "the list is not used";
  const auto again = Replay({made.nodes, made.pods, "flexai", 1.0, 42, 0, false, marks, true});
  EXPECT_EQ(again->looks[0].fragmented, learnt->looks[0].fragmented);
  const auto blind = Replay({made.nodes, made.pods, "random", 1.0, 42, 0, false, marks, true});
  EXPECT_GT(learnt->looks[1].allocated, blind->looks[1].allocated);
}

TEST(Replay, SaysWhatItCannotReplay) {
  const Made made = MakeUp();
  const std::vector<double> marks = {1.0};
  EXPECT_FALSE(Replay({made.nodes, made.pods, "none", 1, 1, 0, false, marks}).ok());
  EXPECT_FALSE(Replay({made.nodes, {}, "fgd", 1, 1, 0, false, marks}).ok());
  EXPECT_FALSE(Replay({{}, made.pods, "fgd", 1, 1, 0, false, marks}).ok());
}

}  // namespace
}  // namespace flexai::schedule::sim
