// What every card must do, and look like, to a program: fake or real, whole or a slice. One program
// for each backend; ctest runs it once for each of the backend's drivers, plain and in a slice.
// FLEXAI_CONFORMANCE_KNOWN names what a driver is known not to do.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "flexai/fake/card_under_test.h"

namespace flexai {
namespace {

using fake::CardUnderTest;
using Memory = CardUnderTest::Memory;

bool Known(const char* what) {
  const char* known = getenv("FLEXAI_CONFORMANCE_KNOWN");
  return known && strstr(known, what);
}

// The slice's memory, as `flexai run` tells it (id:share:limit:bytes:...); 0 outside a slice.
uint64_t SliceBytes() {
  const char* at = getenv("FLEXAI_SLICE");
  for (int field = 0; at && field < 3; ++field) {
    at = strchr(at, ':');
    if (at) ++at;
  }
  return at ? strtoull(at, nullptr, 10) : 0;
}

class Conformance : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // A run that is meant to be in a slice must not pass without one.
    const char* wanted = getenv("FLEXAI_CONFORMANCE_SLICED");
    ASSERT_EQ(wanted && *wanted == '1', getenv("FLEXAI_SLICE") != nullptr);
    auto opened = fake::OpenCardUnderTest();
    if (opened.ok()) {
      card_ = std::move(opened).value().release();
    } else {
      why_not_ = new std::string(opened.status().ToString());
    }
  }
  static void TearDownTestSuite() {
    delete card_;
    card_ = nullptr;
  }
  void SetUp() override {
    if (card_) return;
    // Only a driver that may be missing may be skipped.
    ASSERT_TRUE(Known("may-be-missing")) << *why_not_;
    GTEST_SKIP() << *why_not_;
  }

  static CardUnderTest& card() { return *card_; }
  static Memory Take(uint64_t bytes) {
    Result<Memory> memory = card().Allocate(bytes);
    EXPECT_TRUE(memory.ok()) << memory.status().ToString();
    return memory.ok() ? *memory : 0;
  }
  static void Give(Memory memory) {
    const Status status = card().Free(memory);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  static void Do(const Status& status) { ASSERT_TRUE(status.ok()) << status.ToString(); }
  static std::vector<uint32_t> Numbers(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<uint32_t> numbers(count);
    for (uint32_t& number : numbers) number = static_cast<uint32_t>(random());
    return numbers;
  }
  static void Put(Memory to, const std::vector<uint32_t>& numbers) {
    Do(card().Write(to, 0, numbers.data(), numbers.size() * 4, true));
  }
  static std::vector<uint32_t> Get(Memory from, size_t count) {
    std::vector<uint32_t> numbers(count);
    Do(card().Read(from, 0, numbers.data(), count * 4, true));
    return numbers;
  }
  // A piece of a size that the card takes several of.
  static uint64_t Piece() {
    uint64_t piece = card().TotalMemory() / 16;
    if (piece > card().MostAllocation()) piece = card().MostAllocation();
    return piece & ~uint64_t{4095};
  }

 private:
  static CardUnderTest* card_;
  static std::string* why_not_;
};
CardUnderTest* Conformance::card_ = nullptr;
std::string* Conformance::why_not_ = nullptr;

TEST_F(Conformance, SaysHowMuchMemoryThereIs) {
  if (SliceBytes() != 0) {
    EXPECT_EQ(card().TotalMemory(), SliceBytes());
  }
  EXPECT_GT(card().MostAllocation(), 0u);
  EXPECT_LE(card().MostAllocation(), card().TotalMemory());
}

TEST_F(Conformance, WhatIsWrittenIsRead) {
  const auto numbers = Numbers(10000, 1);
  const Memory memory = Take(numbers.size() * 4);
  Put(memory, numbers);
  EXPECT_EQ(Get(memory, numbers.size()), numbers);
  uint32_t part[3] = {7, 8, 9};
  Do(card().Write(memory, 400, part, sizeof part, true));
  uint32_t back[5];
  Do(card().Read(memory, 396, back, sizeof back, true));
  EXPECT_EQ(back[0], numbers[99]);
  EXPECT_EQ(back[1], 7u);
  EXPECT_EQ(back[3], 9u);
  EXPECT_EQ(back[4], numbers[103]);
  Give(memory);
}

TEST_F(Conformance, CopiesInTheBackgroundAreDoneAfterFinish) {
  const auto numbers = Numbers(50000, 2);
  std::vector<uint32_t> back(numbers.size());
  const Memory memory = Take(numbers.size() * 4);
  Do(card().Write(memory, 0, numbers.data(), numbers.size() * 4, false));
  Do(card().Read(memory, 0, back.data(), back.size() * 4, false));
  Do(card().Finish());
  EXPECT_EQ(back, numbers);
  Give(memory);
}

TEST_F(Conformance, CopyAndFillStayInTheirRange) {
  const auto numbers = Numbers(1000, 3);
  const Memory from = Take(4000), to = Take(4000);
  Put(from, numbers);
  Do(card().Fill(to, 0xabcd1234, 0, 4000));
  Do(card().Copy(to, 400, from, 800, 1200));
  const auto got = Get(to, 1000);
  EXPECT_EQ(got[99], 0xabcd1234u);
  EXPECT_EQ(got[100], numbers[200]);
  EXPECT_EQ(got[399], numbers[499]);
  EXPECT_EQ(got[400], 0xabcd1234u);
  Give(from);
  Give(to);
}

TEST_F(Conformance, KernelsComputeAndKeepTheirOrder) {
  Do(card().Load(card().TestKernels()));
  constexpr size_t kItems = 4096;
  const Memory a = Take(4 * kItems), b = Take(4 * kItems), c = Take(4 * kItems);
  Do(card().Launch("flexai_fill", {CardUnderTest::Of(a), CardUnderTest::Of(5u)}, kItems));
  Do(card().Launch("flexai_spin", {CardUnderTest::Of(b), CardUnderTest::Of(100u)}, kItems));
  Do(card().Launch("flexai_add", {CardUnderTest::Of(a), CardUnderTest::Of(b), CardUnderTest::Of(c)},
                   kItems));
  Do(card().Launch("flexai_fill", {CardUnderTest::Of(a), CardUnderTest::Of(6u)}, kItems / 2));
  Do(card().Finish());
  const auto got_a = Get(a, kItems), got_c = Get(c, kItems);
  for (uint32_t i = 0; i < kItems; ++i) {
    uint32_t x = i;
    for (int round = 0; round < 100; ++round) x = x * 1664525u + 1013904223u;
    ASSERT_EQ(got_c[i], x + 5) << i;
    ASSERT_EQ(got_a[i], i < kItems / 2 ? 6u : 5u) << i;
  }
  for (const Memory memory : {a, b, c}) Give(memory);
}

TEST_F(Conformance, MistakesAreRefusedAndHarmNothing) {
  Do(card().Load(card().TestKernels()));
  const auto numbers = Numbers(100, 4);
  const Memory memory = Take(400);
  Put(memory, numbers);
  uint32_t word = 0;
  EXPECT_EQ(card().Allocate(0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Write(memory, 398, &word, 4, true).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Read(memory, 404, &word, 4, true).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Read(memory, ~uint64_t{0} - 1, &word, 4, true).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Copy(memory, 0, memory, 4, 8).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Fill(memory, 1, 2, 8).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Free(0).code(), Code::kInvalidArgument);
  EXPECT_EQ(card().Launch("flexai_nothing", {}, 1).code(), Code::kNotFound);
  EXPECT_EQ(card().Launch("flexai_fill", {CardUnderTest::Of(memory)}, 1).code(),
            Code::kInvalidArgument);
  const Status built = card().Load("#error this text is no program\n");
  EXPECT_EQ(built.code(), Code::kInvalidArgument);
  EXPECT_FALSE(built.hint().empty());
  EXPECT_EQ(Get(memory, 100), numbers);
  Give(memory);
}

TEST_F(Conformance, MemoryEndsExactlyWhereTheCardSays) {
  if (Known("no-memory-limit")) GTEST_SKIP() << "known: this driver hands out any amount";
  const uint64_t total = card().TotalMemory();
  const uint64_t piece = Piece();
  std::vector<Memory> pieces;
  Status refused;
  while (pieces.size() * piece <= total) {
    Result<Memory> memory = card().Allocate(piece);
    if (!memory.ok()) {
      refused = memory.status();
      break;
    }
    pieces.push_back(*memory);
  }
  EXPECT_EQ(refused.code(), Code::kResourceExhausted) << refused.ToString();
  EXPECT_LE(pieces.size() * piece, total);
  EXPECT_LT(total - pieces.size() * piece, piece);
  // What is given back can be had again, and no more than that.
  ASSERT_FALSE(pieces.empty());
  Give(pieces.back());
  pieces.back() = Take(piece);
  EXPECT_EQ(card().Allocate(piece).status().code(), Code::kResourceExhausted);
  const uint32_t word = 77;
  Do(card().Write(pieces.back(), piece - 4, &word, 4, true));
  uint32_t back = 0;
  Do(card().Read(pieces.back(), piece - 4, &back, 4, true));
  EXPECT_EQ(back, 77u);
  const size_t count = pieces.size();
  for (const Memory memory : pieces) Give(memory);
  pieces.clear();
  for (size_t i = 0; i < count; ++i) pieces.push_back(Take(piece));
  for (const Memory memory : pieces) Give(memory);
}

TEST_F(Conformance, TooLargeAPieceIsRefused) {
  const Result<Memory> memory = card().Allocate(card().TotalMemory() + 4096);
  ASSERT_FALSE(memory.ok());
  EXPECT_TRUE(memory.status().code() == Code::kResourceExhausted ||
              memory.status().code() == Code::kInvalidArgument)
      << memory.status().ToString();
}

TEST_F(Conformance, MemoryThatIsFreedWhileInUseIsStillWritten) {
  Do(card().Load(card().TestKernels()));
  const Memory a = Take(4096), b = Take(4096);
  Do(card().Launch("flexai_spin", {CardUnderTest::Of(a), CardUnderTest::Of(100000u)}, 1024));
  Do(card().Launch("flexai_add", {CardUnderTest::Of(a), CardUnderTest::Of(a), CardUnderTest::Of(b)},
                   1024));
  Give(a);
  Do(card().Finish());
  uint32_t x = 3;
  for (int round = 0; round < 100000; ++round) x = x * 1664525u + 1013904223u;
  EXPECT_EQ(Get(b, 4)[3], 2 * x);
  Give(b);
}

TEST_F(Conformance, ThreadsDoNotDisturbEachOther) {
  const auto work = [](uint32_t seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 40; ++i) {
      const auto numbers = Numbers(1 + random() % 5000, seed * 100 + static_cast<uint32_t>(i));
      Result<Memory> memory = card().Allocate(numbers.size() * 4);
      ASSERT_TRUE(memory.ok()) << memory.status().ToString();
      Put(*memory, numbers);
      ASSERT_EQ(Get(*memory, numbers.size()), numbers);
      Give(*memory);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) threads.emplace_back(work, i + 1);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Conformance, ManyPiecesKeepTheirContents) {
  std::mt19937 random(9);
  struct Held {
    Memory memory;
    std::vector<uint32_t> numbers;
  };
  std::vector<Held> held;
  for (int i = 0; i < 300; ++i) {
    if (held.size() < 40 && random() % 3 != 0) {
      auto numbers = Numbers(1 + random() % 3000, static_cast<uint32_t>(i));
      const Memory memory = Take(numbers.size() * 4);
      Put(memory, numbers);
      held.push_back({memory, std::move(numbers)});
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      ASSERT_EQ(Get(held.back().memory, held.back().numbers.size()), held.back().numbers);
      Give(held.back().memory);
      held.pop_back();
    }
  }
  for (const Held& one : held) Give(one.memory);
}

}  // namespace
}  // namespace flexai
