#include "flexai/schedule/cutting.h"

#include <gtest/gtest.h>

#include "flexai/schedule/dice.h"

namespace flexai::schedule {
namespace {

TEST(Cutting, WithoutPartsOnlyAWholeCardIsWorthAnything) {
  const LeftValues values = ValuesOfLeft({});
  EXPECT_EQ(values[999], 0);
  EXPECT_EQ(values[1000], 1000);
}

TEST(Cutting, EqualPartsShareTheCardAndWhatIsLostBesideThem) {
  const std::vector<ShareCount> counts = {{470, 5}};
  const LeftValues values = ValuesOfLeft(counts);
  EXPECT_EQ(values[469], 0);
  EXPECT_EQ(values[470], 500) << "two to a card, so half a card each";
  EXPECT_EQ(values[939], 500);
  EXPECT_EQ(values[940], 1000);
}

TEST(Cutting, WhatThereIsTooMuchOfHasThePriceOfItsOwnCards) {
  // More of 320 than can stand beside 650: those left over go three to a card. So a third, and two
  // thirds for 650.
  const std::vector<ShareCount> counts = {{320, 30}, {650, 10}};
  const LeftValues values = ValuesOfLeft(counts);
  EXPECT_EQ(values[320], 333);
  EXPECT_EQ(values[640], 667);
  EXPECT_EQ(values[680], 667);
}

TEST(Cutting, WhatThereIsTooLittleOfIsFilledForNothing) {
  // Nearly all cards with 650 stay alone, so room beside them is worth nothing.
  const std::vector<ShareCount> counts = {{320, 2}, {650, 10}};
  const LeftValues values = ValuesOfLeft(counts);
  EXPECT_EQ(values[350], 0);
  EXPECT_EQ(values[649], 0);
  EXPECT_EQ(values[650], 1000);
}

TEST(Cutting, OfTwoThatFitThePriceOfTheDearer) {
  const std::vector<ShareCount> counts = {{190, 10}, {470, 20}, {810, 100}};
  const LeftValues values = ValuesOfLeft(counts);
  EXPECT_EQ(values[190], 0) << "nine of ten places beside 810 stay empty";
  EXPECT_EQ(values[530], 500);
  EXPECT_EQ(values[810], 1000);
}

// No use of a card is worth more than the card, none of a larger rest less; and all shares that
// come are worth at least what they take.
TEST(Cutting, ValuesRiseAndNoPatternBeatsTheCard) {
  Dice dice(42);
  for (int list = 0; list < 200; ++list) {
    std::vector<ShareCount> counts;
    Milli share = 0;
    while (true) {
      share += 1 + static_cast<Milli>(dice.Below(list % 2 == 0 ? 20 : 200));
      if (share >= kWholeCard) break;
      counts.push_back({share, 1 + dice.Below(1000)});
    }
    const LeftValues values = ValuesOfLeft(counts);
    for (size_t left = 1; left < values.size(); ++left) {
      ASSERT_GE(values[left], values[left - 1]);
      ASSERT_LE(values[left], kWholeCard);
    }
    for (size_t left = 1; left <= 500; ++left) {
      ASSERT_LE(values[left] + values[kWholeCard - left], kWholeCard + 1) << left;
    }
    ASSERT_EQ(values, ValuesOfLeft(counts));
  }
}

}  // namespace
}  // namespace flexai::schedule
