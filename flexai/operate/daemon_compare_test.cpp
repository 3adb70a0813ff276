// Who asks the daemon to compare books with the driver, against a helper that answers as the test
// says; and what this host has besides its cards.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "flexai/operate/card_meter.h"
#include "flexai/operate/daemon_fixture_test.h"

namespace flexai::operate {
namespace {

class CompareTest : public DaemonTest {
 protected:
  void SetUp() override {
    int ask[2], answer[2];
    ASSERT_EQ(pipe2(ask, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(answer, O_CLOEXEC), 0);
    DaemonOptions options;
    options.meter_ask_fd = ask[1];
    options.meter_answer_fd = answer[0];
    asked_ = ask[0];
    answers_ = answer[1];
    Start({TestCard("0")}, std::move(options));
  }
  void TearDown() override {
    DaemonTest::TearDown();
    close(asked_);
    if (answers_ >= 0) close(answers_);
  }

  // The daemon's next question: one line.
  bool IsAsked() const {
    pollfd wait = {asked_, POLLIN, 0};
    char line;
    return poll(&wait, 1, kSoonMs) == 1 && read(asked_, &line, 1) == 1;
  }
  void AnswerNothing() const { Answer({}); }
  void Answer(const std::vector<device::ProcessUse>& uses) const {
    const std::string line = WriteUses(uses);
    ASSERT_EQ(write(answers_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  int AskToCompare() {
    constexpr char kRequest[] = R"({"op":"compare"})";
    const int peer = Raw();
    EXPECT_TRUE(
        slice::SendFrame(peer, slice::FrameType::kRequest, kRequest, sizeof(kRequest) - 1).ok());
    return peer;
  }
  static std::string Heard(int peer) {
    const auto frame = slice::ReceiveFrame(peer, kSoonMs);
    close(peer);
    return frame.ok() ? frame->data : frame.status().ToString();
  }

  // As a library of this process, in a slice of its own; its page.
  slice::RegionMap Attach(int* library) {
    const std::string name = Ask(Create(300))["slice"]["slice"];
    slice::AttachRequest request =
        slice::ReadSliceVariable((name + ":300:300:0:1:" + std::to_string(getpid()) + ":1").c_str())
            .value();
    *library = Raw();
    EXPECT_TRUE(
        slice::SendFrame(*library, slice::FrameType::kAttach, &request, sizeof(request)).ok());
    return slice::RegionMap::Open(slice::ReceiveFrame(*library, kSoonMs)->fd).value();
  }

  int asked_ = -1;
  int answers_ = -1;
};

constexpr char kCompared[] = R"({"compared":true})";
constexpr char kNotCompared[] = R"({"compared":false})";

TEST_F(DaemonTest, WithoutAHelperNobodyWaits) {
  EXPECT_EQ(Ask({{"op", "compare"}}), json({{"compared", false}}));
}

TEST_F(CompareTest, AnswersOnceTheDriverWasAskedAfterwards) {
  ASSERT_TRUE(IsAsked());  // each second anyway
  const int early = AskToCompare();
  const int gone = AskToCompare();
  ASSERT_TRUE(Await([&] { return Status().contains("cards"); }));  // both were read by now
  close(gone);
  AnswerNothing();  // to the first question, which left before they came
  ASSERT_TRUE(IsAsked());
  pollfd reply = {early, POLLIN, 0};
  EXPECT_EQ(poll(&reply, 1, 0), 0);
  AnswerNothing();
  EXPECT_EQ(Heard(early), kCompared);
}

// A card that the driver says nothing of: nobody waits for more to show.
TEST_F(CompareTest, OfAnUnknownCardNothingMoreIsAwaited) {
  int library = -1;
  const slice::RegionMap page = Attach(&library);
  page->slots[0].unforeseen = 3;
  for (int i = 0; i < 2; ++i) {  // the first of the questions may have left before
    ASSERT_TRUE(IsAsked());
    AnswerNothing();
  }
  EXPECT_TRUE(Await([&] { return page->slots[0].compared == 3; }));
  EXPECT_EQ(page->slots[0].booked, 0u);
  close(library);
}

// While a process waits for something unforeseen to show, and its books move: what is beyond all
// that it may have been granted is sure, and the rest is left to the next comparison.
TEST_F(CompareTest, WhatIsSureIsBookedThoughTheBooksMove) {
  int library = -1;
  const slice::RegionMap page = Attach(&library);
  slice::ProcessSlot& slot = page->slots[0];
  const auto answer = [&](uint64_t bytes) {
    Answer({{"uuid-0", getpid(), bytes}});
    EXPECT_TRUE(IsAsked());  // so the answer was taken
  };
  ASSERT_TRUE(IsAsked());
  AnswerNothing();  // to what was asked before we came
  slot.used = 1000;
  ASSERT_TRUE(IsAsked());
  slot.used = 900;
  answer(1500);
  EXPECT_EQ(slot.booked, 0u);  // nothing unforeseen: the next comparison tells
  slot.used = 1000;
  answer(1400);
  EXPECT_EQ(slot.booked, 0u);
  slot.unforeseen = 1;
  answer(1400);  // to a question from before
  EXPECT_EQ(slot.booked, 400u);
  EXPECT_EQ(slot.compared, 0u);
  slot.used = 900;
  answer(1500);
  EXPECT_EQ(slot.booked, 500u);
  EXPECT_EQ(slot.compared, 0u);
  // Granted, seen by the driver and given back before the answer came.
  slot.granted = 700;
  slot.used = 800;
  answer(2200);
  EXPECT_EQ(slot.booked, 600u);
  slot.used = 900;
  answer(1400);
  EXPECT_EQ(slot.booked, 600u);
  EXPECT_EQ(slot.compared, 0u);
  answer(1350);
  EXPECT_EQ(slot.booked, 450u);
  EXPECT_EQ(slot.compared, 1u);
  close(library);
}

// The driver may be asked while a context is being made, which then holds a part of what it will:
// that is not what using the card takes.
TEST_F(CompareTest, AHalfMadeContextTellsNothing) {
  int library = -1;
  const slice::RegionMap page = Attach(&library);
  const auto told = [&](uint64_t bytes) {
    const uint32_t before = page->slots[0].measures;
    Answer({{"uuid-0", 0, 0}, {"uuid-0", getpid(), bytes}});
    EXPECT_TRUE(Await([&] { return page->slots[0].measures != before; }));
    return page->header.context_bytes.load();
  };
  ASSERT_TRUE(IsAsked());
  AnswerNothing();  // to what was asked before we came
  ASSERT_TRUE(IsAsked());
  page->slots[0].advance = 500;  // only now it is made, and its process expects as much
  EXPECT_EQ(told(20), 0u);
  ASSERT_TRUE(IsAsked());
  EXPECT_EQ(told(480), 480u);
  close(library);
}

// A process may use its card through two libraries, each of which attaches: the driver knows one
// process, and what it holds beyond both books is booked once.
TEST_F(CompareTest, TwoLibrariesOfAProcessAreOneToTheDriver) {
  const std::string name = Ask(Create(300))["slice"]["slice"];
  slice::AttachRequest request =
      slice::ReadSliceVariable((name + ":300:300:0:1:" + std::to_string(getpid()) + ":1").c_str())
          .value();
  const int libraries[] = {Raw(), Raw()};
  int page_fd = -1;
  for (const int library : libraries) {
    ASSERT_TRUE(
        slice::SendFrame(library, slice::FrameType::kAttach, &request, sizeof(request)).ok());
    const auto attached = slice::ReceiveFrame(library, kSoonMs);
    ASSERT_TRUE(attached.ok());
    if (page_fd >= 0) close(page_fd);
    page_fd = attached->fd;
  }
  slice::RegionMap page = slice::RegionMap::Open(page_fd).value();
  ASSERT_TRUE(IsAsked());
  AnswerNothing();  // to what was asked before we came
  page->slots[0].used = 1000;
  page->slots[1].used = 2000;
  const uint32_t before = page->slots[1].measures;
  for (int i = 0; i < 2; ++i) {  // the first of the questions may have left before
    ASSERT_TRUE(IsAsked());
    Answer({{"uuid-0", 0, 0}, {"uuid-0", getpid(), 3500}});
  }
  ASSERT_TRUE(Await([&] { return page->slots[1].measures != before; }));
  EXPECT_EQ(page->slots[0].booked, 500u);
  EXPECT_EQ(page->slots[1].booked, 0u);
  EXPECT_EQ(slice::UsedBytes(*page.get()), 3500u);
  for (const int library : libraries) close(library);
}

TEST_F(CompareTest, AHelperThatEndsLetsNobodyWait) {
  ASSERT_TRUE(IsAsked());
  const int peer = AskToCompare();
  ASSERT_TRUE(Await([&] { return Status().contains("cards"); }));
  close(std::exchange(answers_, -1));
  EXPECT_EQ(Heard(peer), kNotCompared);
  EXPECT_EQ(Heard(AskToCompare()), kNotCompared);
}

TEST_F(CompareTest, AnAnswerThatIsNoneComparesNothing) {
  ASSERT_TRUE(IsAsked());
  AnswerNothing();
  ASSERT_TRUE(Await([&] { return Status().contains("cards"); }));
  const int peer = AskToCompare();
  ASSERT_TRUE(IsAsked());
  ASSERT_EQ(write(answers_, "?\n", 2), 2);
  EXPECT_EQ(Heard(peer), kNotCompared);
}

TEST_F(DaemonTest, WhatIsNotSharedIsTold) {
  Stop();
  DaemonOptions options;
  options.unshared = {{"uuid-9", "card 9 is cut", "mend it"}, {"", "a driver is old", "renew it"}};
  Start({}, std::move(options));
  json request = Create(500);
  json refused = Ask(request);
  EXPECT_EQ(refused["code"], "failed_precondition");
  EXPECT_EQ(
      refused["message"],
      "this host has no card that flexai can share: card 9 is cut (flexai cards tells of 1 more)");
  EXPECT_EQ(Status()["unshared"][1],
            json({{"uuid", ""}, {"why", "a driver is old"}, {"cure", "renew it"}}));
  Stop();
  options = {};
  options.unshared = {{"uuid-9", "card 9 is cut", "mend it"}};
  Start({TestCard("0")}, std::move(options));
  request["card"] = "uuid-9";
  EXPECT_EQ(Ask(request)["message"], "card 9 is cut");
  request["card"] = "uuid-8";
  EXPECT_EQ(Ask(request)["message"], "card 'uuid-8' is unknown");
}

}  // namespace
}  // namespace flexai::operate
