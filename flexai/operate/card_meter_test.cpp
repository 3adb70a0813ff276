// The daemon's side of the pipes, with the test as the helper.
#include "flexai/operate/card_meter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace flexai::operate {
namespace {

class CardMeterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe2(ask_, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(answer_, O_CLOEXEC), 0);
    meter_ = std::make_unique<CardMeter>(ask_[1], answer_[0]);
  }
  ~CardMeterTest() override {
    meter_.reset();
    close(ask_[0]);
    if (answer_[1] >= 0) close(answer_[1]);
  }
  CardMeter::News Say(const std::string& text) {
    EXPECT_EQ(write(answer_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return meter_->Take();
  }

  int ask_[2] = {-1, -1};
  int answer_[2] = {-1, -1};
  std::unique_ptr<CardMeter> meter_;
};

const std::vector<device::ProcessUse> kUses = {{"GPU-1", 17, 4096}, {"GPU-2", 18, 1ull << 40}};
const std::vector<device::CardTime> kTimes = {
    {"GPU-1", 123456789012345, false, {{17, 1000}, {18, 2000}}}, {"GPU-2", 5, true, {}}};

void ExpectUses(const CardMeter::News& news) {
  EXPECT_TRUE(news.answered);
  ASSERT_EQ(news.uses.size(), 2u);
  EXPECT_EQ(news.uses[1].card_uuid, "GPU-2");
  EXPECT_EQ(news.uses[1].pid, 18);
  EXPECT_EQ(news.uses[1].bytes, 1ull << 40);
}

TEST_F(CardMeterTest, AsksOnceUntilAnswered) {
  EXPECT_TRUE(meter_->Ask());
  EXPECT_FALSE(meter_->Ask());
  EXPECT_TRUE(meter_->waits());
  ExpectUses(Say(WriteUses(kUses)));
  EXPECT_FALSE(meter_->waits());
  EXPECT_TRUE(meter_->Ask());
}

TEST_F(CardMeterTest, TimesComeUnasked) {
  ASSERT_TRUE(meter_->Ask());
  const auto news = Say(WriteTimes(kTimes));
  EXPECT_FALSE(news.answered);
  EXPECT_TRUE(meter_->waits()) << "that was no answer";
  ASSERT_EQ(news.times.size(), 2u);
  EXPECT_FALSE(Changed(news.times, kTimes));
  EXPECT_EQ(news.times[0].horizon, 123456789012345);
  EXPECT_TRUE(news.times[1].lost);
}

TEST_F(CardMeterTest, WatchesComeUnaskedAndReplaceOneAnother) {
  ASSERT_TRUE(meter_->Ask());
  EXPECT_TRUE(meter_->watches().empty());
  Say(WriteWatches({{"GPU-1", ""}, {"GPU-2", "it is refused"}}));
  EXPECT_TRUE(meter_->waits()) << "that was no answer";
  EXPECT_EQ(meter_->watches().at("GPU-1"), "");
  EXPECT_EQ(meter_->watches().at("GPU-2"), "it is refused");
  Say(WriteWatches({{"GPU-2", ""}}));
  EXPECT_EQ(meter_->watches().size(), 1u);
  EXPECT_EQ(meter_->watches().at("GPU-2"), "");
  Say("{\"watched\": [[1, \"\"], [\"GPU-3\"], 7]}\n");
  EXPECT_TRUE(meter_->watches().empty());
}

TEST_F(CardMeterTest, TakesSeveralLinesAtOnce) {
  auto later = kTimes;
  later[0].horizon += 1;
  const auto news = Say(WriteTimes(kTimes) + WriteUses(kUses) + WriteTimes(later));
  ExpectUses(news);
  ASSERT_EQ(news.times.size(), 4u);
  EXPECT_EQ(news.times[2].horizon, kTimes[0].horizon + 1) << "in order";
}

TEST_F(CardMeterTest, PutsPiecesOfLinesTogether) {
  const std::string text = WriteTimes(kTimes) + WriteUses(kUses);
  size_t times = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    const auto news = Say(text.substr(i, 1));
    times += news.times.size();
    EXPECT_FALSE(news.answered);
  }
  EXPECT_EQ(times, 2u);
  ExpectUses(Say("\n"));
}

TEST_F(CardMeterTest, GarbageIsIgnored) {
  for (const char* garbage : {"\n", "}{\n", "[]\n", "[[1]]\n", "7\n", "{\"uses\": 3}\n",
                              "{\"times\": {}}\n", "{\"others\": []}\n", "\xff\xfe\n",
                              "{\"times\": [1, [], [1, 2, 3, 4], [\"a\", \"b\", true, []]]}\n"}) {
    const auto news = Say(garbage);
    EXPECT_FALSE(news.answered) << garbage;
    EXPECT_TRUE(news.times.empty()) << garbage;
  }
  ASSERT_TRUE(meter_->Ask());
  Say("broken\n");
  EXPECT_FALSE(meter_->waits()) << "else it would never ask again";
  const auto news = Say("{\"times\": [[\"a\", 1, false, [[1], [\"x\", 2], [3, 4]]]]}\n");
  ASSERT_EQ(news.times.size(), 1u);
  ASSERT_EQ(news.times[0].processes.size(), 1u);
  EXPECT_EQ(news.times[0].processes[0].pid, 3);
  ExpectUses(Say("noise\n" + WriteUses(kUses)));
}

TEST_F(CardMeterTest, EndOfTheHelperIsTheEndOfQuestions) {
  ASSERT_TRUE(meter_->Ask());
  Say(WriteWatches({{"GPU-1", ""}}));
  close(answer_[1]);
  answer_[1] = -1;
  const auto news = meter_->Take();
  EXPECT_FALSE(news.answered);
  EXPECT_EQ(meter_->answer_fd(), -1);
  EXPECT_NE(meter_->watches().at("GPU-1"), "") << "nobody watches it any more";
  EXPECT_FALSE(meter_->Ask());
}

TEST(CardTimes, ChangeWithAnythingButTheHorizon) {
  auto after = kTimes;
  after[0].horizon += 1;
  EXPECT_FALSE(Changed(kTimes, after));
  after[0].processes[0].total += 1;
  EXPECT_TRUE(Changed(kTimes, after));
  after = kTimes;
  after[1].lost = false;
  EXPECT_TRUE(Changed(kTimes, after));
  after.pop_back();
  EXPECT_TRUE(Changed(kTimes, after));
}

}  // namespace
}  // namespace flexai::operate
