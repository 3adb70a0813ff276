// The fake card behind the made-up table, as a program that loads the library meets it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "toy/real.h"

namespace flexai::api::toy {
namespace {

class ToyFake : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("FLEXAI_FAKE_MEMORY", "65536", 1);
    setenv("FLEXAI_FAKE_FAULTS", "toyVersionEXT@2=-4", 1);
    library_ = dlopen(FLEXAI_FAKE_TOY, RTLD_NOW);
    ASSERT_NE(library_, nullptr) << dlerror();
    for (const intercept::FnInfo& info : kFunctions) {
      AsTable(real_)[info.index] = dlsym(library_, info.name);
    }
  }
  void SetUp() override {
    toy_status error = 9;
    context_ = real_.toyCreateContext(nullptr, nullptr, nullptr, &error);
    ASSERT_EQ(error, TOY_OK);
  }
  static void* library_;
  static Real real_;
  toy_context context_ = nullptr;
};
void* ToyFake::library_ = nullptr;
Real ToyFake::real_;

TEST_F(ToyFake, ListsAndDescribesItsCard) {
  toy_card card = nullptr;
  toy_u32 found = 0;
  ASSERT_EQ(real_.toyListCards(1, &card, &found), TOY_OK);
  ASSERT_EQ(found, 1u);
  size_t needed = 0;
  ASSERT_EQ(real_.toyAsk(card, TOY_CARD_NAME, 0, nullptr, &needed), TOY_OK);
  std::string name(needed, 0);
  ASSERT_EQ(real_.toyAsk(card, TOY_CARD_NAME, needed, name.data(), nullptr), TOY_OK);
  EXPECT_STREQ(name.c_str(), "flexai fake card");
  EXPECT_EQ(real_.toyAsk(card, TOY_CARD_NAME, 3, name.data(), nullptr), TOY_ERROR_VALUE);
  EXPECT_EQ(real_.toyAsk(nullptr, TOY_CARD_NAME, 0, nullptr, &needed), TOY_ERROR_NO_CARD);
}

TEST_F(ToyFake, MemoryEndsWhereItSays) {
  std::vector<toy_memory> pieces;
  toy_memory memory = 0;
  while (real_.toyAlloc(context_, &memory, 8192) == TOY_OK) pieces.push_back(memory);
  EXPECT_EQ(pieces.size(), 8u);
  EXPECT_EQ(real_.toyAlloc(context_, &memory, 1), TOY_ERROR_MEMORY);
  for (const toy_memory piece : pieces) EXPECT_EQ(real_.toyFree(piece), TOY_OK);
  EXPECT_EQ(real_.toyFree(pieces[0]), TOY_ERROR_VALUE);
  EXPECT_EQ(real_.toyAlloc(context_, &memory, 65536), TOY_OK);
  EXPECT_EQ(real_.toyFree(memory), TOY_OK);
}

TEST_F(ToyFake, CopiesAndLaunches) {
  toy_memory memory = 0;
  ASSERT_EQ(real_.toyAlloc(context_, &memory, 8), TOY_OK);
  const char text[] = "ab..cd..";
  const size_t region[2] = {2, 2};
  ASSERT_EQ(real_.toyCopyRect(memory, text, region, 4), TOY_OK);
  real_.toySync(context_);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(memory), 4), "abcd");
  const char* source = "text";
  toy_status error = 9;
  const toy_module module =
      real_.toyLoad(context_, 1, &source, nullptr, nullptr, nullptr, nullptr, &error);
  ASSERT_EQ(error, TOY_OK);
  toy_u32 counters[2] = {4, 5};
  const toy_grid grid = {{8, 1, 1}, 0, 2};
  ASSERT_EQ(real_.toyLaunch(module, &grid, counters), TOY_OK);
  EXPECT_EQ(counters[0], 5u);
  EXPECT_EQ(counters[1], 6u);
  EXPECT_EQ(real_.toyFree(memory), TOY_OK);
}

TEST_F(ToyFake, ARowWithoutABodyGivesNothing) { EXPECT_EQ(real_.toyMap(1), nullptr); }

TEST_F(ToyFake, ExtensionsAreLookedUpAndFaultsHitTheirCall) {
  auto* version = reinterpret_cast<toy_u32 (*)()>(real_.toyLookUp("toyVersion"));
  ASSERT_NE(version, nullptr);
  EXPECT_EQ(version(), 20u);
  EXPECT_EQ(version(), 0u);  // the fault: a call that fails returns nothing
  EXPECT_EQ(version(), 20u);
  EXPECT_EQ(real_.toyLookUp("toyNothing"), nullptr);
  EXPECT_EQ(real_.toyVersionEXT, nullptr);  // an extension is no exported symbol
}

}  // namespace
}  // namespace flexai::api::toy
