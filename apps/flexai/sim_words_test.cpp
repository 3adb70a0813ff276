#include "apps/flexai/sim_words.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>

#include "apps/flexai/text_file.h"

namespace flexai::cli {
namespace {

using Seeds = std::vector<uint64_t>;

TEST(SimWords, SeedsAreNumbersRangesAndLists) {
  EXPECT_EQ(*ParseSeeds("42"), Seeds({42}));
  EXPECT_EQ(*ParseSeeds("42-45"), Seeds({42, 43, 44, 45}));
  EXPECT_EQ(*ParseSeeds("1,7-8,3"), Seeds({1, 7, 8, 3}));
  EXPECT_EQ(*ParseSeeds("18446744073709551615"), Seeds({UINT64_MAX}));
  for (const char* wrong : {"", "x", "1-", "-1", "5-4", "1,,2", "1.5", "0-1000", "1 2"}) {
    EXPECT_FALSE(ParseSeeds(wrong).ok()) << wrong;
  }
}

TEST(SimWords, ArrivalIsANumberAboveZero) {
  EXPECT_EQ(*ParseArrival("1.3"), 1.3);
  EXPECT_EQ(MarksOf(1.3), std::vector<double>({1.0, 1.3}));
  EXPECT_EQ(MarksOf(0.5), std::vector<double>({0.5}));
  const std::vector<double> curve = MarksOfCurve(1.1);
  EXPECT_EQ(std::count(curve.begin(), curve.end(), 1.0), 1);
  EXPECT_EQ(curve.back(), 1.1);
  EXPECT_GT(curve.size(), 60u);
  for (const char* wrong : {"", "0", "-1", "11", "nan", "inf", "1.3x", "130%"}) {
    EXPECT_FALSE(ParseArrival(wrong).ok()) << wrong;
  }
}

TEST(SimWords, MovesAreAWholeNumber) {
  EXPECT_EQ(*ParseMoves("0"), 0u);
  EXPECT_EQ(*ParseMoves("150"), 150u);
  for (const char* wrong : {"", "-1", "x", "1.5"}) EXPECT_FALSE(ParseMoves(wrong).ok()) << wrong;
}

class TextFile : public testing::Test {
 protected:
  void SetUp() override { path_ = testing::TempDir() + "flexai_text_" + std::to_string(getpid()); }
  void TearDown() override { unlink(path_.c_str()); }
  void Write(const std::string& bytes) {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
  }
  std::string path_;
};

TEST_F(TextFile, PlainAndPackedReadTheSame) {
  Write("a,b\n1,2\n");
  EXPECT_EQ(*ReadTextFile(path_), "a,b\n1,2\n");
  gzFile packed = gzopen(path_.c_str(), "wb");
  gzputs(packed, "a,b\n1,2\n");
  gzclose(packed);
  EXPECT_EQ(*ReadTextFile(path_), "a,b\n1,2\n");
}

TEST_F(TextFile, SaysWhatIsWrong) {
  EXPECT_EQ(ReadTextFile("/nonexistent/list").status().code(), Code::kNotFound);
  EXPECT_FALSE(ReadTextFile("/").ok());
  gzFile packed = gzopen(path_.c_str(), "wb");
  for (int i = 0; i < 10000; ++i) gzprintf(packed, "%d,", i * i);
  gzclose(packed);
  ASSERT_EQ(truncate(path_.c_str(), 5000), 0);
  const Status cut = ReadTextFile(path_).status();
  EXPECT_NE(cut.message().find("damaged"), std::string::npos) << cut.ToString();
}

}  // namespace
}  // namespace flexai::cli
