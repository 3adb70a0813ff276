#include "flexai/schedule/placer.h"

#include <gtest/gtest.h>

#include "flexai/schedule/dice.h"
#include "flexai/schedule/ranking.h"
#include "flexai/schedule/statement.h"

namespace flexai::schedule {
namespace {

Request Ask(uint32_t cards, Milli share, int64_t cpu = 1000, ModelSet models = kAnyModel) {
  return {.cpu_milli = cpu, .models = models, .cards = cards, .share = share};
}

// A cluster, and a policy that decides for it.
class World {
 public:
  World(std::string_view policy, const std::vector<Node>& nodes, const std::vector<Request>& usual)
      : typical_(TypicalJobs(usual)), fragmentation_(typical_) {
    for (const Node& node : nodes) EXPECT_TRUE(snapshot.AddNode(node).ok());
    placer_ = *MakePlacer(policy, {&snapshot, &fragmentation_, typical_, 1});
  }

  std::optional<Placement> Find(const Request& request) { return placer_->Find(request); }

  Placement Put(const Request& request) {
    const std::optional<Placement> place = Find(request);
    EXPECT_TRUE(place.has_value());
    EXPECT_TRUE(snapshot.Place(snapshot.AddJob(request), *place).ok());
    return *place;
  }
  void PutOn(const Request& request, const Placement& place) {
    EXPECT_TRUE(snapshot.Place(snapshot.AddJob(request), place).ok());
  }

  Snapshot snapshot;

 private:
  std::vector<TypicalJob> typical_;
  Fragmentation fragmentation_;
  std::unique_ptr<Placer> placer_;
};

const std::vector<Node> kTwoNodes = {{.cpu_milli = 64000, .cards = 4},
                                     {.cpu_milli = 64000, .cards = 4}};

TEST(Placer, UnknownPolicyIsRefusedWithTheKnownOnes) {
  const auto made = MakePlacer("best", {});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.status().hint().find("fgd"), std::string::npos);
}

TEST(Placer, EveryPolicyGivesNothingWhereNothingFits) {
  for (const std::string_view policy : PolicyNames()) {
    World world(policy, kTwoNodes, {Ask(1, 1000)});
    EXPECT_FALSE(world.Find(Ask(5, 1000))) << policy;
    EXPECT_FALSE(world.Find(Ask(1, 1000, 65000))) << policy;
    EXPECT_TRUE(world.Find(Ask(4, 1000))) << policy;
    EXPECT_TRUE(world.Find(Ask(0, 0))) << policy;
  }
}

TEST(Placer, AFailedCardHidesNoneThatIsLikeIt) {
  for (const std::string_view policy : PolicyNames()) {
    World world(policy, {{.cpu_milli = 64000, .cards = 4}}, {Ask(1, 500)});
    world.snapshot.SetHealth(0, /*open=*/true, 0b1100);
    const std::optional<Placement> place = world.Find(Ask(1, 500));
    ASSERT_TRUE(place.has_value()) << policy;
    EXPECT_NE(place->cards & 0b1100, 0u) << policy;
    EXPECT_EQ(place->cards & 0b0011, 0u) << policy;
  }
}

TEST(Placer, EqualNodesGoToTheFirst) {
  for (const std::string_view policy : PolicyNames()) {
    if (policy == "random") continue;
    World world(policy, kTwoNodes, {Ask(1, 1000)});
    EXPECT_EQ(world.Find(Ask(1, 1000)), (Placement{0, 1})) << policy;
  }
}

TEST(Placer, RandomReachesEveryNodeAndCard) {
  World world("random", kTwoNodes, {});
  CardSet seen[2] = {};
  for (int i = 0; i < 500; ++i) {
    const Placement place = *world.Find(Ask(1, 100));
    seen[place.node] |= place.cards;
  }
  EXPECT_EQ(seen[0], 15u);
  EXPECT_EQ(seen[1], 15u);
}

TEST(Placer, BestFitTakesTheTightestNodeAndCard) {
  World world("bestfit", {{.cpu_milli = 64000, .cards = 8}, {.cpu_milli = 64000, .cards = 2}}, {});
  EXPECT_EQ(world.Put(Ask(1, 400)), (Placement{1, 1}));
  world.PutOn(Ask(1, 700), {1, 2});
  EXPECT_EQ(world.Put(Ask(1, 300)), (Placement{1, 2}));
  EXPECT_EQ(world.Put(Ask(1, 300)), (Placement{1, 1}));
}

TEST(Placer, PackingFillsCardsInUseThenNodesInUse) {
  World world("packing", kTwoNodes, {});
  world.PutOn(Ask(1, 400), {1, 4});
  EXPECT_EQ(world.Put(Ask(1, 400)), (Placement{1, 4}));
  EXPECT_EQ(world.Put(Ask(1, 400)), (Placement{1, 1}));
  EXPECT_EQ(world.Put(Ask(4, 1000)), (Placement{0, 15}));
}

TEST(Placer, ClusteringPutsLikeToLike) {
  World world("clustering", kTwoNodes, {});
  world.PutOn(Ask(1, 1000), {0, 1});
  world.PutOn(Ask(1, 400), {1, 1});
  EXPECT_EQ(world.Put(Ask(1, 300)).node, 1u);
  EXPECT_EQ(world.Put(Ask(1, 1000)).node, 0u);
  world.PutOn(Ask(1, 1000), {1, 4});
  EXPECT_EQ(world.Put(Ask(1, 300)).node, 1u);
  EXPECT_EQ(world.Put(Ask(2, 1000)).node, 0u) << "strangers on both: the first";
}

TEST(Placer, DotProductTakesTheLeastAligned) {
  World world("dotprod", kTwoNodes, {});
  world.PutOn(Ask(2, 1000), {1, 3});
  EXPECT_EQ(world.Put(Ask(1, 1000, 32000)).node, 1u);
}

TEST(Placer, FgdKeepsWholeCardsForThoseWhoNeedThem) {
  World world("fgd", kTwoNodes, {Ask(1, 500), Ask(1, 500), Ask(4, 1000)});
  world.PutOn(Ask(1, 500), {1, 1});
  EXPECT_EQ(world.Put(Ask(1, 500)), (Placement{1, 1}));
  EXPECT_EQ(world.Put(Ask(1, 500)).node, 1u) << "node 0 can still take four cards";
}

TEST(Placer, FlexaiLeavesScarceModelsToThoseBoundToThem) {
  std::vector<Node> nodes = kTwoNodes;
  nodes[1].model = 1;
  // Half of what comes can use model 0 only.
  World world("flexai", nodes, {Ask(1, 1000, 1000, 1), Ask(1, 1000)});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(world.Put(Ask(1, 1000)).node, 1u);
  EXPECT_EQ(world.Put(Ask(1, 1000)).node, 0u) << "rather there than nowhere";
}

TEST(Placer, FlexaiLeavesLargeMemoriesToThoseWhoNeedThem) {
  std::vector<Node> nodes = kTwoNodes;
  nodes[0].card_memory_mib = 80'000;
  nodes[1].card_memory_mib = 40'000;
  nodes[1].model = 1;
  Request large = Ask(1, 1000);
  large.card_memory_mib = 60'000;
  World world("flexai", nodes, {large, Ask(1, 1000)});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(world.Put(Ask(1, 1000)).node, 1u);
  EXPECT_EQ(world.Put(Ask(1, 1000)).node, 0u) << "rather there than nowhere";
}

Request Draw(Dice* dice) {
  static constexpr Milli kShares[] = {200, 300, 500, 1000, 1000};
  const uint32_t cards = dice->Below(3);
  return Ask(cards, cards == 0 ? 0 : kShares[dice->Below(5)], 1000 * (1 + dice->Below(6)));
}

// A few hundred events under one policy: jobs come and leave. Returns where each one went.
std::vector<Placement> Live(std::string_view policy, uint64_t seed) {
  Dice dice(seed);
  std::vector<Node> nodes;
  std::vector<Request> usual;
  for (int i = 0; i < 30; ++i) {
    nodes.push_back({.cpu_milli = 16000, .cards = 1 + dice.Below(4), .model = dice.Below(2)});
    usual.push_back(Draw(&dice));
  }
  World world(policy, nodes, usual);
  std::vector<Placement> places;
  for (int i = 0; i < 800; ++i) {
    const Request request = Draw(&dice);
    if (const auto place = world.Find(request)) {
      world.PutOn(request, *place);
      places.push_back(*place);
    }
    if (dice.Below(3) == 0 && world.snapshot.jobs() > 0) {
      const JobId leaves = dice.Below(world.snapshot.jobs());
      if (world.snapshot.placed(leaves)) world.snapshot.Remove(leaves);
    }
  }
  return places;
}

TEST(Placer, TheSameInputGivesTheSameDecisions) {
  for (const std::string_view policy : PolicyNames()) {
    const std::vector<Placement> first = Live(policy, 5);
    EXPECT_GT(first.size(), 100u);
    EXPECT_EQ(first, Live(policy, 5)) << policy;
  }
}

// Judges by the node's state alone, with many ties.
class Odd : public Scorer {
 public:
  explicit Odd(const Snapshot* snapshot) : snapshot_(snapshot) {}
  Choice Judge(NodeId node, const Request& request) override {
    return {static_cast<int32_t>((snapshot_->cpu_free(node) + request.cpu_milli) % 7), 0};
  }

 private:
  const Snapshot* snapshot_;
};

TEST(RankedPlacer, FindsWhatLookingAtEveryNodeFinds) {
  Dice dice(11);
  Snapshot snapshot;
  for (int i = 0; i < 37; ++i) ASSERT_TRUE(snapshot.AddNode({.cpu_milli = dice.Below(100)}).ok());
  RankedPlacer placer(&snapshot, std::make_unique<Odd>(&snapshot));
  Odd odd(&snapshot);
  for (int i = 0; i < 20000; ++i) {
    const Request request{.cpu_milli = 1 + dice.Below(20)};
    std::optional<Placement> best;
    int32_t most = INT32_MIN;
    for (NodeId node = 0; node < snapshot.nodes(); ++node) {
      if (!snapshot.Fits(node, request) || odd.Judge(node, request).score <= most) continue;
      most = odd.Judge(node, request).score;
      best = Placement{node, 0};
    }
    ASSERT_EQ(placer.Find(request), best);
    Statement tried(&snapshot);
    const JobId job = snapshot.AddJob(request);
    if (best) {
      ASSERT_TRUE(tried.Place(job, *best).ok());
    }
    const JobId leaves = dice.Below(snapshot.jobs());
    if (snapshot.placed(leaves)) tried.Remove(leaves);
    if (dice.Below(4) > 0) tried.Commit();
    if (i == 10000) {
      ASSERT_TRUE(snapshot.AddNode({.cpu_milli = 500}).ok());
    }
  }
}

}  // namespace
}  // namespace flexai::schedule
