#include "flexai/schedule/remote.h"

#include <gtest/gtest.h>

#include "flexai/schedule/fragmentation.h"

namespace flexai::schedule {
namespace {

constexpr RemoteLink kLink = {.round_trip_ns = 20'000, .bytes_per_s = 10'000'000'000};
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
  const auto plan = PlanRemote(placer_.get(), kJob, kUse, kLink);
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
  EXPECT_TRUE(PlanRemote(placer_.get(), kJob, use, kLink));
  use.budget_ppm = 29'999;
  EXPECT_FALSE(PlanRemote(placer_.get(), kJob, use, kLink));
  EXPECT_FALSE(PlanRemote(placer_.get(), kJob, {}, kLink)) << "a job without a budget stays local";
}

TEST_F(Remote, IsBothHalvesOrNeither) {
  const auto plan = PlanRemote(placer_.get(), kJob, kUse, kLink);
  ASSERT_TRUE(plan);
  // Meanwhile somebody takes the card.
  const JobId other = snapshot_.AddJob({.cards = 2, .share = kWholeCard});
  ASSERT_TRUE(snapshot_.Place(other, {card_node_, 3}).ok());
  EXPECT_EQ(CarryOut(*plan, kJob, &snapshot_).code(), Code::kFailedPrecondition);
  EXPECT_EQ(snapshot_.cpu_free(cpu_node_), 64000);
}

}  // namespace
}  // namespace flexai::schedule
