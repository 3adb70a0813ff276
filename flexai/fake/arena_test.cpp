#include "flexai/fake/arena.h"

#include <gtest/gtest.h>
#include <string.h>

#include <random>
#include <vector>

namespace flexai::fake {
namespace {

TEST(Arena, CountsEveryByteThatIsHandedOut) {
  Arena arena(4096, 256);
  void* one = arena.Allocate(1);
  void* two = arena.Allocate(300);
  EXPECT_EQ(arena.SizeOf(one), 256u);
  EXPECT_EQ(arena.SizeOf(two), 512u);
  EXPECT_EQ(arena.used(), 768u);
  EXPECT_TRUE(arena.Free(one));
  EXPECT_EQ(arena.used(), 512u);
  EXPECT_EQ(arena.peak(), 768u);
}

TEST(Arena, RefusesPastItsCapacityAndServesUpToIt) {
  Arena arena(4096, 256);
  void* all = arena.Allocate(4096);
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(arena.Allocate(1), nullptr);
  EXPECT_TRUE(arena.Free(all));
  EXPECT_EQ(arena.Allocate(4097), nullptr);
  EXPECT_EQ(arena.Allocate(~uint64_t{0}), nullptr);
  EXPECT_NE(arena.Allocate(4096), nullptr);
}

TEST(Arena, FreesOnlyWhatWasAllocated) {
  Arena arena(4096, 256);
  char* at = static_cast<char*>(arena.Allocate(512));
  EXPECT_FALSE(arena.Free(at + 256));
  EXPECT_FALSE(arena.Free(nullptr));
  EXPECT_TRUE(arena.Free(at));
  EXPECT_FALSE(arena.Free(at));
  EXPECT_EQ(arena.used(), 0u);
}

TEST(Arena, ReusedMemoryIsZero) {
  Arena arena(1 << 20, 256);
  for (const uint64_t bytes : {300u, 5000u, 70000u}) {
    auto* at = static_cast<unsigned char*>(arena.Allocate(bytes));
    memset(at, 0xff, bytes);
    ASSERT_TRUE(arena.Free(at));
    at = static_cast<unsigned char*>(arena.Allocate(bytes));
    for (uint64_t i = 0; i < bytes; ++i) ASSERT_EQ(at[i], 0) << i;
    ASSERT_TRUE(arena.Free(at));
  }
}

TEST(Arena, GapsJoinAgain) {
  Arena arena(1 << 20, 256);
  std::mt19937 random(7);
  std::vector<void*> pieces;
  uint64_t sum = 0;
  for (int i = 0; i < 2000; ++i) {
    if (pieces.empty() || random() % 3) {
      if (void* at = arena.Allocate(1 + random() % 9000)) {
        pieces.push_back(at);
        sum += arena.SizeOf(at);
      }
    } else {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      sum -= arena.SizeOf(pieces.back());
      ASSERT_TRUE(arena.Free(pieces.back()));
      pieces.pop_back();
    }
    ASSERT_EQ(arena.used(), sum);
  }
  for (void* at : pieces) ASSERT_TRUE(arena.Free(at));
  EXPECT_EQ(arena.used(), 0u);
  EXPECT_NE(arena.Allocate(1 << 20), nullptr);
}

}  // namespace
}  // namespace flexai::fake
