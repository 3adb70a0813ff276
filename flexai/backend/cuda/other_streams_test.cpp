#include "flexai/backend/cuda/other_streams.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace flexai::backend::cuda {
namespace {

bool Never(const OtherStreams::Stream&) { return false; }
bool Always(const OtherStreams::Stream&) { return true; }

TEST(OtherStreams, EachIsAskedUntilItIsDone) {
  OtherStreams streams;
  EXPECT_TRUE(streams.AllDone(Never)) << "there are none";
  for (uint64_t name : {10, 12, 14, 12}) streams.Add(name, 0);
  std::set<uint64_t> busy = {10, 12};
  std::vector<uint64_t> asked;
  const auto is_done = [&](const OtherStreams::Stream& stream) {
    asked.push_back(stream.name);
    return busy.count(stream.name) == 0;
  };
  EXPECT_FALSE(streams.AllDone(is_done));
  EXPECT_EQ(asked, (std::vector<uint64_t>{14, 12})) << "the first that is not says enough";
  busy.erase(12);
  EXPECT_FALSE(streams.AllDone(is_done));
  busy.clear();
  EXPECT_TRUE(streams.AllDone(is_done));
  EXPECT_EQ(asked, (std::vector<uint64_t>{14, 12, 12, 10, 10}));
}

TEST(OtherStreams, GroupsAndDestroyedOnesGo) {
  OtherStreams streams;
  streams.Add(10, 1);
  streams.Add(12, 2);
  streams.Add(14, 1);
  EXPECT_EQ(streams.Find(16), nullptr);
  streams.RemoveGroup(1);
  EXPECT_EQ(streams.Find(10), nullptr);
  ASSERT_NE(streams.Find(12), nullptr);
  streams.Remove(streams.Find(12));
  EXPECT_TRUE(streams.AllDone(Never));
}

TEST(OtherStreams, WhatIsLostIsNeverDone) {
  OtherStreams streams;
  for (uint64_t i = 1; i <= OtherStreams::kMost; ++i) streams.Add(2 * i, 0);
  streams.Add(2, 0);
  EXPECT_TRUE(streams.AllDone(Always)) << "as many as there are places, and one of them twice";
  for (uint64_t i = 1; i <= OtherStreams::kMost + 1; ++i) streams.Add(2 * i, 0);
  EXPECT_FALSE(streams.AllDone(Always));
  size_t cleared = 0;
  streams.Add(2, 0);
  streams.Clear([&](const OtherStreams::Stream&) { ++cleared; });
  EXPECT_EQ(cleared, 1u);
  EXPECT_TRUE(streams.AllDone(Never));
  streams.Lose();
  EXPECT_FALSE(streams.AllDone(Always));
}

}  // namespace
}  // namespace flexai::backend::cuda
