// What a process holds in the driver's blocks, against a count of every block.
#include "flexai/backend/cuda/holdings.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace flexai::backend::cuda {
namespace {

constexpr uint64_t kBase = uint64_t{0x7f0000000000};

TEST(Holdings, PiecesOfOneBlockHoldItOnce) {
  Holdings held;
  EXPECT_EQ(held.KeepRange(kBase, 4096, false, 0), kBlock);
  EXPECT_EQ(held.KeepRange(kBase + 4096, 4096, false, 0), 0u);
  EXPECT_EQ(held.Take(kBase).freed, 0u);
  EXPECT_EQ(held.Take(kBase + 4096).freed, kBlock);
  EXPECT_EQ(held.Take(kBase).object, 0u) << "it is gone";
}

TEST(Holdings, WhatEndsInABlockSharesIt) {
  Holdings held;
  EXPECT_EQ(held.KeepRange(kBase, kBlock + 512, false, 0), 2 * kBlock);
  EXPECT_EQ(held.KeepRange(kBase + kBlock + 512, 512, false, 0), 0u);
  const Taken large = held.Take(kBase);
  EXPECT_EQ(large.freed, kBlock);
  held.PutBack(large);
  EXPECT_EQ(held.Take(kBase + kBlock + 512).freed, 0u);
  EXPECT_EQ(held.Take(kBase).freed, 2 * kBlock);
}

TEST(Holdings, EveryBlockIsCountedOnce) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Holdings held;
    std::map<uint64_t, int> blocks;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;  // address, bytes
    uint64_t next = kBase;
    const auto change = [&](uint64_t address, uint64_t bytes, int by) {
      const size_t before = blocks.size();
      for (uint64_t block = address / kBlock; block * kBlock < address + bytes; ++block) {
        if ((blocks[block] += by) == 0) blocks.erase(block);
      }
      return (by > 0 ? blocks.size() - before : before - blocks.size()) * kBlock;
    };
    for (int step = 0; step < 400; ++step) {
      if (ranges.empty() || random() % 3 != 0) {
        const uint64_t units[] = {1, 512, 4096, kBlock - 512, kBlock, kBlock + 1};
        const uint64_t bytes = units[random() % 6] * (1 + random() % 5);
        const uint64_t address = random() % 2 == 0 ? RoundUp(next, kBlock) : next;
        next = address + RoundUp(bytes, 512);
        ranges.push_back({address, bytes});
        ASSERT_EQ(held.KeepRange(address, bytes, false, 0), change(address, bytes, 1)) << seed;
      } else {
        const size_t at = random() % ranges.size();
        const auto [address, bytes] = ranges[at];
        ranges.erase(ranges.begin() + static_cast<ptrdiff_t>(at));
        ASSERT_EQ(held.Take(address).freed, change(address, bytes, -1)) << seed;
      }
    }
  }
}

}  // namespace
}  // namespace flexai::backend::cuda
