#include "flexai/operate/lever_probes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flexai::operate {
namespace {

using device::ProbeResult;
using nlohmann::json;

const ProbeResult kGood = {"", {{device::kStopLever, true, "1 ms"}}};
const ProbeResult kBad = {
    "", {{device::kStopLever, false, "it goes on"}, {device::kTimeSliceLever, false, "it stays"}}};

model::Card TheCard(const char* uuid) {
  model::Card card;
  card.id = "0";
  card.uuid = uuid;
  card.model = "a card";
  card.driver = "1.2";
  card.driver_identity = "a file";
  return card;
}

class LeverProbesTest : public testing::Test {
 protected:
  LeverProbesTest() {
    char name[] = "/tmp/flexai-levers-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~LeverProbesTest() override { std::filesystem::remove_all(folder_); }

  LeverBook Book(const char* version = "1") const { return LeverBook(folder_ + "/kept", version); }
  // Processes that do nothing; what they answer the test writes.
  StartProbeFn Start() {
    return [this](const model::Card& card) -> Result<ProbeProcess> {
      started_.push_back(card.uuid);
      pid_ = fork();
      if (pid_ == 0) {
        for (;;) pause();
      }
      int ends[2];  // made afterwards: the test's end is the only one
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      write_fd_ = ends[1];
      return ProbeProcess{pid_, ends[0]};
    };
  }
  void Answer(const std::string& text) {
    ASSERT_EQ(write(write_fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(write_fd_);
  }
  // Whether the process that was started last has been ended.
  bool IsEnded() const {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) == 0 &&
           info.si_status == SIGKILL;
  }

  std::string folder_;
  std::vector<model::Card> cards_ = {TheCard("A"), TheCard("B")};
  std::vector<std::string> started_;
  pid_t pid_ = -1;
  int write_fd_ = -1;
};

TEST_F(LeverProbesTest, CardsAreTriedOneAfterTheOther) {
  LeverProbes probes(cards_, Start(), Book());
  probes.Begin(kSecond);
  EXPECT_TRUE(probes.TakeStarted());
  EXPECT_FALSE(probes.TakeStarted());
  EXPECT_EQ(started_, std::vector<std::string>{"A"});
  EXPECT_EQ(probes.Describe(1)["state"], "probing");
  EXPECT_FALSE(probes.OnAnswer(kSecond)) << "nothing has come";
  Answer(WriteProbe(kBad));
  EXPECT_TRUE(probes.OnAnswer(kSecond));
  EXPECT_EQ(probes.dropped(0), device::kStopLever | device::kTimeSliceLever);
  EXPECT_EQ(probes.dropped(1), 0u);
  EXPECT_TRUE(probes.TakeStarted());
  Answer(WriteProbe(kGood));
  EXPECT_TRUE(probes.OnAnswer(kSecond));
  EXPECT_EQ(probes.answer_fd(), -1);
  EXPECT_EQ(started_, (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(probes.Describe(1)["state"], "probed");
  EXPECT_EQ(probes.Describe(1)["levers"], ToJson(kGood)["levers"]);

  LeverProbes next(cards_, Start(), Book());
  next.Begin(kSecond);
  EXPECT_EQ(started_.size(), 2u) << "both are remembered";
  EXPECT_EQ(next.dropped(0), device::kStopLever | device::kTimeSliceLever);
  EXPECT_EQ(next.Again(kSecond), 2u);
  EXPECT_EQ(started_.size(), 3u);
}

TEST_F(LeverProbesTest, OneThatTakesTooLongIsEnded) {
  cards_.pop_back();
  LeverProbes probes(cards_, Start(), Book());
  probes.Begin(kSecond);
  EXPECT_FALSE(probes.OnTime(20 * kSecond));
  EXPECT_TRUE(probes.OnTime(22 * kSecond));
  EXPECT_TRUE(IsEnded());
  EXPECT_EQ(probes.Describe(0)["state"], "not probed");
  EXPECT_EQ(probes.dropped(0), 0u);
  close(write_fd_);
  LeverProbes next(cards_, Start(), Book());
  next.Begin(kSecond);
  EXPECT_EQ(started_.size(), 1u) << "it would only hang again";
}

TEST_F(LeverProbesTest, WhatIsNoAnswerDropsNothing) {
  cards_.pop_back();
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("{\"levers\": [1]}"),
        WriteProbe(kBad).substr(0, 40), std::string("[") + WriteProbe(kBad)}) {
    std::filesystem::remove_all(folder_ + "/kept");
    LeverProbes probes(cards_, Start(), Book());
    probes.Begin(kSecond);
    Answer(text);
    EXPECT_TRUE(probes.OnAnswer(kSecond)) << text;
    EXPECT_EQ(probes.dropped(0), 0u) << text;
    EXPECT_EQ(probes.Describe(0)["state"], "not probed") << text;
  }
}

TEST_F(LeverProbesTest, WhatCouldNotBeTriedIsTriedNextTime) {
  cards_.pop_back();
  LeverProbes probes(cards_, Start(), Book());
  probes.Begin(kSecond);
  Answer(WriteProbe({"no memory", {}}));
  EXPECT_TRUE(probes.OnAnswer(kSecond));
  EXPECT_EQ(probes.Describe(0)["not_probed"], "no memory");
  LeverProbes next(cards_, Start(), Book());
  next.Begin(kSecond);
  EXPECT_EQ(started_.size(), 2u);
  close(write_fd_);
}

TEST_F(LeverProbesTest, CardsWithoutLeversAreNotTried) {
  cards_[0].driver_identity = "";
  LeverProbes probes(cards_, Start(), Book());
  EXPECT_TRUE(probes.Describe(0).is_null());
  probes.Begin(kSecond);
  EXPECT_EQ(started_, std::vector<std::string>{"B"});
  close(write_fd_);
  LeverProbes nobody(cards_, nullptr, Book());
  nobody.Begin(kSecond);
  EXPECT_EQ(nobody.Again(kSecond), 0u);
  EXPECT_TRUE(nobody.Describe(1).is_null());
}

TEST_F(LeverProbesTest, ABookIsForOneCardAndDriver) {
  const LeverBook book = Book();
  EXPECT_FALSE(book.Find(cards_[0]).has_value());
  ASSERT_TRUE(book.Keep(cards_[0], {kBad, 17}).ok());
  ASSERT_TRUE(book.Keep(cards_[1], {kGood, 18}).ok());
  ASSERT_TRUE(book.Find(cards_[0]).has_value());
  EXPECT_EQ(book.Find(cards_[0])->result, kBad);
  EXPECT_EQ(book.Find(cards_[0])->at, 17);
  EXPECT_EQ(book.Find(cards_[1])->result, kGood);
  EXPECT_FALSE(Book("2").Find(cards_[0]).has_value());
  for (std::string model::Card::*field : {&model::Card::uuid, &model::Card::model,
                                          &model::Card::driver, &model::Card::driver_identity}) {
    model::Card other = cards_[0];
    other.*field += "x";
    EXPECT_FALSE(book.Find(other).has_value());
  }
  ASSERT_TRUE(book.Keep(cards_[0], {kGood, 19}).ok());
  EXPECT_EQ(book.Find(cards_[0])->result, kGood);
  EXPECT_EQ(book.Find(cards_[1])->at, 18);
}

TEST_F(LeverProbesTest, NowhereToRemember) {
  const LeverBook nowhere("", "1");
  EXPECT_TRUE(nowhere.Keep(cards_[0], {kBad, 1}).ok());
  EXPECT_FALSE(nowhere.Find(cards_[0]).has_value());
  std::ofstream(folder_ + "/kept") << "no folder";
  EXPECT_FALSE(Book().Keep(cards_[0], {kBad, 1}).ok());
}

}  // namespace
}  // namespace flexai::operate
