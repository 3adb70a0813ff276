#include "flexai/schedule/sim/philly.h"

#include <gtest/gtest.h>

namespace flexai::schedule::sim {
namespace {

const std::vector<Pool> kPools = {{"a", 1}, {"b", 1}};
constexpr int64_t kEver = int64_t{1} << 40;

TEST(Philly, TimesAreSecondsSince1970) {
  EXPECT_EQ(*ParseTime("1970-01-01"), 0);
  EXPECT_EQ(*ParseTime("2017-10-09 07:01:55"), 1507532515);
  EXPECT_EQ(*ParseTime("2000-03-01") - *ParseTime("2000-02-28"), 2 * 86400);
  EXPECT_EQ(*ParseTime("2100-03-01") - *ParseTime("2100-02-28"), 86400);
  for (const char* wrong : {"", "2017", "2017-13-01", "2017-02-29", "2017-10-09T07:01:55",
                            "2017-10-09 24:00:00", "2017-10-09 07:01", "2017-10-09 07:01:55Z",
                            "2017-1-009", "-017-10-09", "2017-10-09 ", "2200-01-01"}) {
    EXPECT_FALSE(ParseTime(wrong).ok()) << wrong;
  }
}

TEST(Philly, ReadsJobsByTime) {
  const auto list = ReadPhillyJobs(
      "timestamp,duration,num_gpus,gpu_time,cluster\n"
      "2017-10-09 00:00:01,66.0,1,66.0,b\r\n\n2017-10-09 00:00:00,0.2,16,3.2,a\n"
      "2017-10-09 00:00:00,5,1,5,elsewhere\n2017-10-10 00:00:00,5,1,5,a",
      kPools, *ParseTime("2017-10-09"), *ParseTime("2017-10-10"));
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->bad.empty());
  EXPECT_EQ(list->outside, 2u);
  const int64_t day = *ParseTime("2017-10-09");
  EXPECT_EQ(list->jobs, (std::vector<TimedJob>{{day, 1, 16, 0}, {day + 1, 66, 1, 1}}));
}

TEST(Philly, TellsWhatIsWrongWithARow) {
  const auto list = ReadPhillyJobs(
      "timestamp,duration,num_gpus,cluster\nnever,1,1,a\n2017-10-09 00:00:00,-1,1,a\n"
      "2017-10-09 00:00:00,nan,1,a\n2017-10-09 00:00:00,1,0,a\n2017-10-09 00:00:00,1,1,\n"
      "2017-10-09 00:00:00,1\n",
      kPools, 0, kEver);
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->jobs.empty());
  ASSERT_EQ(list->bad.size(), 6u);
  EXPECT_EQ(list->bad[0].line, 2u);
  EXPECT_EQ(list->bad[0].reason, "timestamp 'never' is no time as 2017-10-01 07:01:55");
  EXPECT_EQ(list->bad[1].reason, "duration '-1' is not a number of seconds up to 1e8");
  EXPECT_EQ(list->bad[3].reason, "num_gpus '0' is not between 1 and 4096");
  EXPECT_EQ(list->bad[4].reason, "cluster '' names no cluster");
  EXPECT_EQ(list->bad[5].reason, "2 columns instead of 4");
  EXPECT_FALSE(ReadPhillyJobs("timestamp,duration\n", kPools, 0, kEver).ok());
}

}  // namespace
}  // namespace flexai::schedule::sim
