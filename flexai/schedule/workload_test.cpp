#include "flexai/schedule/workload.h"

#include <gtest/gtest.h>

namespace flexai::schedule {
namespace {

Gang Of(uint32_t tasks, Milli share) {
  Gang gang;
  gang.parts.push_back({.request = {.cards = 1, .share = share}, .tasks = tasks, .minimum = tasks});
  return gang;
}

class Reuse : public testing::Test {
 protected:
  Reuse() : workload_(&snapshot_) { EXPECT_TRUE(snapshot_.AddNode({.cards = 8}).ok()); }
  Snapshot snapshot_;
  Workload workload_;
};

TEST_F(Reuse, IdsOfThoseWhoLeftAreUsedAgain) {
  const GangId first = *workload_.Add(Of(1, 100)), second = *workload_.Add(Of(3, 200));
  ASSERT_TRUE(snapshot_.Place(0, {0, 1}).ok());
  workload_.Requeue(first);
  EXPECT_EQ(workload_.was(0), 0u);
  EXPECT_TRUE(workload_.Here(first, 0));
  workload_.Leave(first);
  EXPECT_FALSE(workload_.Here(first, 0));
  const GangId third = *workload_.Add(Of(1, 300));
  EXPECT_EQ(third, first);
  EXPECT_FALSE(workload_.Here(first, 0)) << "it is another's now";
  EXPECT_TRUE(workload_.Here(third, 2));
  EXPECT_EQ(workload_.active(), (std::vector<GangId>{second, third})) << "by age, not by id";
  EXPECT_EQ(workload_[third].parts[0].first, 0u);
  EXPECT_EQ(snapshot_.request(0).share, 300);
  EXPECT_EQ(workload_.was(0), std::nullopt) << "that was another job";
  EXPECT_EQ(workload_.gang(0), third);
  workload_.Leave(second);
  EXPECT_EQ(workload_.active(), std::vector<GangId>{third});
}

TEST_F(Reuse, TasksInARowAreUsedAgainByAsMany) {
  workload_.Leave(*workload_.Add(Of(3, 100)));
  EXPECT_EQ(workload_[*workload_.Add(Of(2, 100))].parts[0].first, 3u);
  EXPECT_EQ(workload_[*workload_.Add(Of(3, 100))].parts[0].first, 0u);
}

TEST_F(Reuse, AWorkloadIsAsLargeAsTheMostAtOnce) {
  for (int i = 0; i < 1000; ++i) {
    const GangId one = *workload_.Add(Of(1, 100)), four = *workload_.Add(Of(4, 100));
    workload_.Leave(i % 2 == 0 ? one : four);
    workload_.Leave(i % 2 == 0 ? four : one);
  }
  EXPECT_EQ(workload_.size(), 2u);
  EXPECT_EQ(snapshot_.jobs(), 5u);
}

}  // namespace
}  // namespace flexai::schedule
