#include "flexai/model/units.h"

#include <gtest/gtest.h>

#include "flexai/model/slice_spec.h"

namespace flexai::model {
namespace {

TEST(ParsePercent, ReadsPercentages) {
  EXPECT_EQ(*ParsePercent("share", "30%"), 300);
  EXPECT_EQ(*ParsePercent("share", "12.5%"), 125);
  EXPECT_EQ(*ParsePercent("share", "100%"), 1000);
  EXPECT_EQ(*ParsePercent("share", "1%"), 10);
}

TEST(ParsePercent, RefusesWithWhatWhyAndCure) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"0%", "share '0%' is less than the smallest share of 1%"},
      {"101%", "share '101%' is more than a whole card"},
      {"30", "share '30' has no % sign"},
      {"abc", "share 'abc' is not a number"},
      {"-5%", "share '-5%' is negative"},
      {"", "share '' is not a number"},
      {"30%x", "share '30%x' is not a percentage"},
      {"33.333%", "share '33.333%' is finer than 0.1%"},
      {".", "share '.' is not a number"},
  };
  for (const auto& c : kCases) {
    const auto result = ParsePercent("share", c.text);
    ASSERT_FALSE(result.ok()) << c.text;
    EXPECT_EQ(result.status().message(), c.message);
    EXPECT_FALSE(result.status().hint().empty()) << c.text;
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  }
}

TEST(ParseBytes, ReadsQuantities) {
  EXPECT_EQ(*ParseBytes("memory", "8Gi"), 8 * kGiB);
  EXPECT_EQ(*ParseBytes("memory", "8GiB"), 8 * kGiB);
  EXPECT_EQ(*ParseBytes("memory", "1.5Gi"), kGiB + kGiB / 2);
  EXPECT_EQ(*ParseBytes("memory", "500M"), 500'000'000u);
  EXPECT_EQ(*ParseBytes("memory", "1073741824"), kGiB);
  EXPECT_EQ(*ParseBytes("memory", "10Pi"), Bytes{10} << 50);
}

TEST(ParseBytes, RefusesWithWhatWhyAndCure) {
  for (const char* text : {"0", "1", "8GB", "8MB", "8kB", "-1Gi", "x", "8Xi", "99999999Pi", "Gi"}) {
    const auto result = ParseBytes("memory", text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), Code::kInvalidArgument) << text;
    EXPECT_FALSE(result.status().hint().empty()) << text;
  }
  EXPECT_EQ(ParseBytes("memory", "8GB").status().hint(),
            "write 8GiB for 8589934592 bytes or 8G for 8000000000 bytes");
  EXPECT_EQ(ParseBytes("memory", "1").status().message(),
            "memory '1' is 1 B, less than the smallest slice of 1 MiB");
}

TEST(Format, IsShort) {
  EXPECT_EQ(FormatPercent(300), "30 %");
  EXPECT_EQ(FormatPercent(125), "12.5 %");
  EXPECT_EQ(FormatBytes(8 * kGiB), "8.0 GiB");
  EXPECT_EQ(FormatBytes(512 * kMiB), "512 MiB");
  EXPECT_EQ(FormatBytes(17), "17 B");
}

TEST(CheckSpec, LimitHoldsTheShare) {
  SliceSpec spec;
  spec.share = 300;
  spec.limit = 200;
  EXPECT_EQ(CheckSpec(spec).message(), "limit 20 % is outside the share of 30 % to 100 %");
  spec.limit = 300;
  EXPECT_TRUE(CheckSpec(spec).ok());
  EXPECT_FALSE(ParsePriority("urgent").ok());
  EXPECT_EQ(*ParsePriority("high"), Priority::kHigh);
}

}  // namespace
}  // namespace flexai::model
