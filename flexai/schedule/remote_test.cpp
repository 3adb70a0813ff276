#include "flexai/schedule/remote.h"

#include <gtest/gtest.h>

#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/statement.h"

namespace flexai::schedule {
namespace {

constexpr RemoteLink kLink = {.round_trip_ns = 20'000, .bytes_per_s = 10'000'000'000};
constexpr RemoteLinks kLinks = {kLink, kLink, kLink};
constexpr RemoteUse kUse = {.waits_per_s = 500, .bytes_per_s = 200'000'000, .budget_ppm = 50'000};
constexpr Request kJob = {.cpu_milli = 8000, .memory_mib = 1024, .cards = 1, .share = kWholeCard};

// A node with cards and little CPU, and one with CPU and no card.
class Remote : public testing::Test {
 protected:
  Remote() {
    card_node_ = *snapshot_.AddNode({.cpu_milli = 2000, .memory_mib = 512, .cards = 2});
    cpu_node_ = *snapshot_.AddNode({.cpu_milli = 64000, .memory_mib = 65536});
    placer_ = *MakePlacer("flexai", {&snapshot_, &fragmentation_, {}, 0});
  }

  Snapshot snapshot_;
  Fragmentation fragmentation_{std::vector<TypicalJob>{}};
  std::unique_ptr<Placer> placer_;
  NodeId card_node_ = 0, cpu_node_ = 0;
};

TEST(RemoteSlowdown, AddsWaitingAndMoving) {
  // 500 x 20 us a second, and 200 MB at 10 GB/s.
  EXPECT_EQ(RemoteSlowdown(kUse, kLink), 10'000 + 20'000);
  EXPECT_EQ(RemoteSlowdown({}, kLink), 0);
}

TEST_F(Remote, PutsCpuAndCardsOnTheirNodes) {
  EXPECT_FALSE(placer_->Find(kJob));
  const auto plan = PlanRemote(snapshot_, placer_.get(), kJob, kUse, kLinks);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->host.node, cpu_node_);
  EXPECT_EQ(plan->cards.node, card_node_);
  ASSERT_TRUE(CarryOut(*plan, kJob, &snapshot_).ok());
  EXPECT_EQ(snapshot_.cpu_free(cpu_node_), 64000 - 8000);
  EXPECT_EQ(snapshot_.memory_free(cpu_node_), 65536 - 1024);
  EXPECT_EQ(snapshot_.cpu_free(card_node_), 2000 - kRemoteServerCpu);
  EXPECT_EQ(snapshot_.memory_free(card_node_), 512);
  EXPECT_EQ(snapshot_.idle(card_node_), 1000);
}

TEST_F(Remote, KeepsToTheBudget) {
  RemoteUse use = kUse;
  use.budget_ppm = 30'000;
  EXPECT_TRUE(PlanRemote(snapshot_, placer_.get(), kJob, use, kLinks));
  use.budget_ppm = 29'999;
  EXPECT_FALSE(PlanRemote(snapshot_, placer_.get(), kJob, use, kLinks));
  EXPECT_FALSE(PlanRemote(snapshot_, placer_.get(), kJob, {}, kLinks))
      << "a job without a budget stays local";
}

TEST_F(Remote, IsBothHalvesOrNeither) {
  const auto plan = PlanRemote(snapshot_, placer_.get(), kJob, kUse, kLinks);
  ASSERT_TRUE(plan);
  // Meanwhile somebody takes the card.
  const JobId other = snapshot_.AddJob({.cards = 2, .share = kWholeCard});
  ASSERT_TRUE(snapshot_.Place(other, {card_node_, 3}).ok());
  EXPECT_EQ(CarryOut(*plan, kJob, &snapshot_).code(), Code::kFailedPrecondition);
  EXPECT_EQ(snapshot_.cpu_free(cpu_node_), 64000);
}

TEST_F(Remote, StaysNearWhereTheBudgetAsksForIt) {
  const NodeId other_rack =
      *snapshot_.AddNode({.cpu_milli = 64000, .memory_mib = 65536, .rack = 1});
  const NodeId other_block =
      *snapshot_.AddNode({.cpu_milli = 64000, .memory_mib = 65536, .rack = 2, .block = 1});
  // The nearest node has CPU for no more than itself.
  ASSERT_TRUE(snapshot_.Place(snapshot_.AddJob({.cpu_milli = 60000}), {cpu_node_, 0}).ok());
  RemoteLinks links = kLinks;
  links.anywhere.round_trip_ns = 60'000;
  auto plan = PlanRemote(snapshot_, placer_.get(), kJob, kUse, links);
  ASSERT_TRUE(plan) << "3 % in the block, 5 % outside of it";
  EXPECT_EQ(plan->host.node, other_rack);
  links.anywhere.round_trip_ns = 61'000;
  plan = PlanRemote(snapshot_, placer_.get(), kJob, kUse, links);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->host.node, other_rack);
  ASSERT_TRUE(snapshot_.Place(snapshot_.AddJob({.cpu_milli = 60000}), {other_rack, 0}).ok());
  EXPECT_FALSE(PlanRemote(snapshot_, placer_.get(), kJob, kUse, links));
  links.anywhere.round_trip_ns = 60'000;
  plan = PlanRemote(snapshot_, placer_.get(), kJob, kUse, links);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->host.node, other_block);
}

TEST_F(Remote, OnePlacementHoldsBothNodes) {
  const JobId job = snapshot_.AddJob(kJob);
  const Placement apart{card_node_, 1, cpu_node_};
  EXPECT_FALSE(snapshot_.Place(job, {cpu_node_, 1, card_node_}).ok()) << "no card there";
  EXPECT_FALSE(snapshot_.Place(job, {card_node_, 1, card_node_}).ok()) << "not apart";
  const Snapshot empty = snapshot_;
  {
    Statement tried(&snapshot_);
    ASSERT_TRUE(tried.Place(job, apart).ok());
    EXPECT_EQ(snapshot_.placement(job), apart);
    EXPECT_EQ(snapshot_.cpu_free(cpu_node_), 64000 - 8000);
    EXPECT_EQ(snapshot_.memory_free(cpu_node_), 65536 - 1024);
    EXPECT_EQ(snapshot_.cpu_free(card_node_), 2000 - kRemoteServerCpu);
    EXPECT_EQ(snapshot_.idle(card_node_), 1000);
    EXPECT_EQ(snapshot_.held(job, cpu_node_).cpu_milli, 8000);
    EXPECT_EQ(snapshot_.held(job, cpu_node_).cards, 0u);
    EXPECT_EQ(snapshot_.held(job, card_node_).cpu_milli, kRemoteServerCpu);
    EXPECT_EQ(snapshot_.held(job, card_node_).cards, 1u);
    tried.Remove(job);
    EXPECT_TRUE(snapshot_.SameState(empty));
    ASSERT_TRUE(tried.Place(job, apart).ok());
  }
  EXPECT_TRUE(snapshot_.SameState(empty));
  snapshot_.SetHealth(cpu_node_, false, ~CardSet{0});
  EXPECT_FALSE(snapshot_.Place(job, apart).ok()) << "its host is closed";
}

}  // namespace
}  // namespace flexai::schedule
