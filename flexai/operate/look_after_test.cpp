#include "flexai/operate/look_after.h"

#include <gtest/gtest.h>

namespace flexai::operate {
namespace {

constexpr Looked kRests = {false, false, true, false};
constexpr Looked kWorks = {true, false, true, false};
constexpr Looked kPaused = {true, true, true, false};

TEST(LookAfter, AsOftenAsOthersCanGain) {
  EXPECT_EQ(LookAfter({}), kEmptyTick);
  EXPECT_EQ(LookAfter({kRests}), kRestTick);
  EXPECT_EQ(LookAfter({kWorks}), kAloneTick);
  EXPECT_EQ(LookAfter({kWorks, kRests}), kToldTick);
  EXPECT_EQ(LookAfter({kWorks, {true, false, false, false}}), kToldTick);
  EXPECT_EQ(LookAfter({kRests, {true, false, false, false}}), kBusyTick);
  EXPECT_EQ(LookAfter({kRests, {true, false, true, true}}), kPromptTick);
}

TEST(LookAfter, WhoIsPausedDoesNotCompete) {
  EXPECT_EQ(LookAfter({kPaused}), kRestTick);
  EXPECT_EQ(LookAfter({kPaused, kWorks, kPaused}), kAloneTick);
  EXPECT_EQ(LookAfter({kPaused, kWorks, kRests}), kToldTick);
}

}  // namespace
}  // namespace flexai::operate
