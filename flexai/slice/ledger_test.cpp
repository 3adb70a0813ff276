#include "flexai/slice/ledger.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

namespace flexai::slice {
namespace {

constexpr uint64_t kLimit = 1000;

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto region = RegionMap::Create("s-test");
    ASSERT_TRUE(region.ok());
    region_ = std::move(region).value();
    region_->header.memory_limit = kLimit;
    region_->header.slots_used = 8;
  }
  RegionMap region_;
};

TEST_F(LedgerTest, RefusesPastTheLimit) {
  Ledger ledger(region_.get(), 0);
  EXPECT_TRUE(ledger.Reserve(kLimit).ok());
  EXPECT_EQ(ledger.Reserve(1).code(), Code::kResourceExhausted);
  EXPECT_EQ(ledger.used(), kLimit);
  EXPECT_EQ(region_->slots[0].refused, 1u);
}

TEST_F(LedgerTest, GivesBackWhatWasReleased) {
  Ledger ledger(region_.get(), 0);
  ASSERT_TRUE(ledger.Reserve(600).ok());
  EXPECT_FALSE(ledger.Reserve(600).ok());
  ledger.Release(600);
  EXPECT_EQ(ledger.used(), 0u);
  EXPECT_TRUE(ledger.Reserve(kLimit).ok());
}

// What is expected of the driver's figures counts until two comparisons have come, or less of it.
TEST_F(LedgerTest, WhatIsAdvancedMayBeTakenBack) {
  Ledger ledger(region_.get(), 0);
  ProcessSlot& slot = region_->slots[0];
  slot.booked = 100;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(ledger.Reserve(300).ok());
    ledger.Advance(300);
    EXPECT_EQ(ledger.used(), 400u);
    ledger.Retreat(300);
    EXPECT_EQ(ledger.used(), 100u) << "what is booked stays";
  }
  ASSERT_TRUE(ledger.Reserve(300).ok());
  ledger.Advance(300);
  slot.booked = 350;
  slot.measures += 2;
  ledger.SettleAdvance();
  ledger.Retreat(300);
  EXPECT_EQ(ledger.used(), 350u) << "the driver's figure counts now";
}

TEST_F(LedgerTest, AForksChildGivesNothingOfItsParentBack) {
  Ledger ledger(region_.get(), 0);
  ASSERT_TRUE(ledger.Reserve(600).ok());
  const pid_t child = fork();
  if (child == 0) {
    ledger.Abandon();
    ledger.Release(600);
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ledger.used(), 600u);
  EXPECT_FALSE(ledger.Reserve(500).ok());
}

TEST_F(LedgerTest, SumsTheProcessesOfATenant) {
  Ledger first(region_.get(), 0);
  Ledger second(region_.get(), 5);
  ASSERT_TRUE(first.Reserve(700).ok());
  EXPECT_FALSE(second.Reserve(301).ok());
  EXPECT_TRUE(second.Reserve(300).ok());
  EXPECT_EQ(first.used(), kLimit);
}

TEST_F(LedgerTest, HugeRequestsDoNotWrapAround) {
  Ledger ledger(region_.get(), 0);
  ASSERT_TRUE(ledger.Reserve(10).ok());
  EXPECT_FALSE(ledger.Reserve(UINT64_MAX).ok());
  EXPECT_FALSE(ledger.Reserve(UINT64_MAX - 5).ok());
  EXPECT_EQ(ledger.used(), 10u);
}

TEST_F(LedgerTest, LimitLoweredBelowUseMeansNoGrowth) {
  Ledger ledger(region_.get(), 0);
  ASSERT_TRUE(ledger.Reserve(800).ok());
  region_->header.memory_limit = 500;
  EXPECT_FALSE(ledger.Reserve(1).ok());
  EXPECT_EQ(ledger.free_bytes(), 0u);
  ledger.Release(400);
  EXPECT_TRUE(ledger.Reserve(100).ok());
}

TEST_F(LedgerTest, ThreadsAndProcessesTogetherNeverPassTheLimit) {
  constexpr int kProcesses = 4;
  // Their own count: up after a reservation, down before its release, so that it is never more than
  // what is reserved. A sum over slots that change would mix moments.
  void* shared = mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& held = *new (shared) std::atomic<uint64_t>(0);
  std::vector<pid_t> children;
  for (uint32_t p = 0; p < kProcesses; ++p) {
    const pid_t pid = fork();
    if (pid == 0) {
      Ledger ledger(region_.get(), p);
      int bad = 0;
      for (int i = 0; i < 20000; ++i) {
        const uint64_t bytes = 1 + static_cast<uint64_t>(i * 7 + 13 * p) % 600;
        if (!ledger.Reserve(bytes).ok()) continue;
        if (held.fetch_add(bytes) + bytes > kLimit) ++bad;
        held.fetch_sub(bytes);
        ledger.Release(bytes);
      }
      _exit(bad ? 1 : 0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(UsedBytes(*region_.get()), 0u);
  munmap(shared, sizeof(std::atomic<uint64_t>));
}

// A process may be killed between any two stores of Reserve; clearing its slot must make the sum
// exact whatever was written by then.
TEST_F(LedgerTest, DeathAtAnyPointLeavesTheOthersExact) {
  Ledger survivor(region_.get(), 1);
  ASSERT_TRUE(survivor.Reserve(400).ok());
  for (int round = 0; round < 50; ++round) {
    const pid_t pid = fork();
    if (pid == 0) {
      Ledger ledger(region_.get(), 0);
      for (;;) {
        if (ledger.Reserve(500).ok()) ledger.Release(500);
      }
    }
    for (int spin = 0; spin < 1000 * (round + 1); ++spin) UsedBytes(*region_.get());
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    region_->slots[0].used = 0;
    region_->slots[0].claim = 0;
    ASSERT_EQ(UsedBytes(*region_.get()), 400u);
    ASSERT_TRUE(survivor.Reserve(600).ok());
    survivor.Release(600);
  }
}

TEST(RegionMap, RefusesWhatIsNotARegion) {
  auto made = RegionMap::Create("s-test");
  ASSERT_TRUE(made.ok());
  RegionMap region = std::move(made).value();
  region->header.version = 99;
  EXPECT_EQ(RegionMap::Open(dup(region.fd())).status().code(), Code::kFailedPrecondition);
  region->header.magic = 1;
  EXPECT_EQ(RegionMap::Open(dup(region.fd())).status().code(), Code::kDataLoss);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  EXPECT_EQ(RegionMap::Open(pipe_ends[0]).status().code(), Code::kDataLoss);
  close(pipe_ends[1]);
}

TEST(Region, OwnWindowIsTheLimitsPartOfEachPeriod) {
  auto made = RegionMap::Create("s-test");
  ASSERT_TRUE(made.ok());
  RegionHeader& header = made->get()->header;
  EXPECT_FALSE(InOwnWindow(header, 5)) << "no window, no time";
  header.window_period = 100;
  header.window_begin = 20;
  header.window_length = 30;
  int inside = 0;
  for (Nanos now = 0; now < 1000; ++now) inside += InOwnWindow(header, now);
  EXPECT_EQ(inside, 300);
  EXPECT_FALSE(InOwnWindow(header, 119));
  EXPECT_TRUE(InOwnWindow(header, 120));
}

}  // namespace
}  // namespace flexai::slice
