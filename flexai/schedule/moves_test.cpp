#include "flexai/schedule/moves.h"

#include <gtest/gtest.h>

namespace flexai::schedule {
namespace {

class Moves : public testing::Test {
 protected:
  void AddNode(int64_t cpu, uint32_t cards) {
    ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = cpu, .cards = cards}).ok());
  }
  JobId Put(const Request& request, const Placement& place) {
    const JobId job = snapshot_.AddJob(request);
    EXPECT_TRUE(snapshot_.Place(job, place).ok());
    return job;
  }
  std::optional<Move> Plan(const Request& request) {
    const auto placer = *MakePlacer("bestfit", {&snapshot_, &fragmentation_, {}, 0});
    return PlanMove(snapshot_, fragmentation_, placer.get(), request);
  }

  Snapshot snapshot_;
  Fragmentation fragmentation_{std::vector<TypicalJob>{{0, kAnyModel, 1, 700, 1}}};
};

Request Share(Milli share, int64_t cpu = 0) {
  return {.cpu_milli = cpu, .cards = 1, .share = share};
}

TEST_F(Moves, OneJobGoesWhereItFitsToo) {
  AddNode(8000, 1);
  AddNode(1000, 1);
  const JobId small = Put(Share(400), {0, 1});
  Put(Share(500), {1, 1});
  // A whole card with CPU is only on node 0, where the small job sits in the way.
  const Request whole = Share(kWholeCard, 4000);
  const std::optional<Move> move = Plan(whole);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->job, small);
  EXPECT_EQ(move->home, (Placement{1, 1}));
  EXPECT_EQ(move->freed, (Placement{0, 1}));
  const JobId newcomer = snapshot_.AddJob(whole);
  ASSERT_TRUE(CarryOut(*move, newcomer, &snapshot_).ok());
  EXPECT_EQ(snapshot_.placement(small), move->home);
  EXPECT_EQ(snapshot_.placement(newcomer), move->freed);
}

TEST_F(Moves, NobodyMovesWithoutAnotherHome) {
  AddNode(8000, 1);
  AddNode(1000, 1);
  Put(Share(400), {0, 1});
  Put(Share(700), {1, 1});
  EXPECT_FALSE(Plan(Share(kWholeCard, 4000)));
}

TEST_F(Moves, OfSeveralTheOneThatLeavesFewestFragments) {
  AddNode(8000, 2);
  AddNode(1000, 1);
  Put(Share(300), {0, 1});
  const JobId larger = Put(Share(900), {0, 2});
  Put(Share(100), {1, 1});
  // Moving the larger one fills node 1; the smaller one would leave less there than is usual.
  const std::optional<Move> move = Plan(Share(kWholeCard, 4000));
  ASSERT_TRUE(move);
  EXPECT_EQ(move->job, larger);
}

TEST_F(Moves, NobodyMovesIfThatLeavesMoreFragments) {
  AddNode(8000, 1);
  AddNode(1000, 1);
  Put(Share(200), {0, 1});
  Put(Share(200), {1, 1});
  // There is a move, but after it neither node has the 700 that the usual job asks for.
  EXPECT_FALSE(Plan(Share(900, 4000)));
}

TEST_F(Moves, AStalePlanChangesNothing) {
  AddNode(8000, 1);
  AddNode(1000, 1);
  const Request whole = Share(kWholeCard, 4000);
  Put(Share(400), {0, 1});
  Put(Share(500), {1, 1});
  const std::optional<Move> move = Plan(whole);
  ASSERT_TRUE(move);
  Put(Share(400), {1, 1});
  const JobId newcomer = snapshot_.AddJob(whole);
  const Snapshot before = snapshot_;
  EXPECT_FALSE(CarryOut(*move, newcomer, &snapshot_).ok());
  EXPECT_TRUE(snapshot_.SameState(before));
}

}  // namespace
}  // namespace flexai::schedule
