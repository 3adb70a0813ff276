// What people ask of the daemon: room, waiting, rules that change, and requests that make no sense.
#include <sys/mman.h>

#include "flexai/operate/daemon_fixture_test.h"
#include "flexai/operate/json_text.h"

namespace flexai::operate {
namespace {

TEST_F(DaemonTest, GrantsWhatWasAsked) {
  const json slice = Ask({{"op", "create"},
                          {"share_permille", 300},
                          {"limit_permille", 500},
                          {"memory_limit_bytes", 64 * model::kMiB},
                          {"priority", "high"},
                          {"command", "train"}})["slice"];
  EXPECT_EQ(slice["card"], "0");
  EXPECT_EQ(slice["share_permille"], 300);
  EXPECT_EQ(slice["limit_permille"], 500);
  EXPECT_EQ(slice["memory_limit_bytes"], 64 * model::kMiB);
  EXPECT_EQ(slice["priority"], "high");
  EXPECT_EQ(slice["command"], "train");
  EXPECT_EQ(slice["leader_pid"], getpid());
  EXPECT_EQ(slice["state"], "starting");
  const json status = Status();
  ASSERT_EQ(status["slices"].size(), 1u);
  EXPECT_EQ(status["slices"][0]["slice"], slice["slice"]);
  EXPECT_EQ(status["cards"][0]["share_granted_permille"], 300);
  EXPECT_EQ(status["cards"][0]["memory_granted_bytes"], 64 * model::kMiB);
  EXPECT_EQ(status["socket"], address_);
}

TEST_F(DaemonTest, LimitAndMemoryFollowTheShare) {
  const json slice = Ask(Create(250))["slice"];
  EXPECT_EQ(slice["limit_permille"], 250);
  EXPECT_EQ(slice["memory_limit_bytes"], 1000 * model::kMiB / 4);
}

TEST_F(DaemonTest, RefusesWhatDoesNotFit) {
  ASSERT_TRUE(Ask(Create(700)).contains("slice"));
  EXPECT_EQ(Ask(Create(301))["code"], "resource_exhausted");
  json request = Create(10);
  request["memory_limit_bytes"] = 301 * model::kMiB;
  EXPECT_EQ(Ask(request)["code"], "resource_exhausted");
  request["memory_limit_bytes"] = 1001 * model::kMiB;
  EXPECT_EQ(Ask(request)["code"], "out_of_range");
  EXPECT_TRUE(Ask(Create(300)).contains("slice"));
  EXPECT_EQ(Status()["cards"][0]["share_granted_permille"], 1000);
}

TEST_F(DaemonTest, TakesTheNamedCardElseTheFullestWithRoom) {
  Stop();
  Start({TestCard("0"), TestCard("1")});
  const auto card = [](int share, const char* named) {
    json request = Create(share);
    request["card"] = named;
    const json reply = Ask(request);
    return reply.contains("slice") ? reply["slice"]["card"] : reply["code"];
  };
  EXPECT_EQ(card(400, "1"), "1");
  EXPECT_EQ(card(400, "auto"), "1");
  EXPECT_EQ(card(400, "auto"), "0");
  EXPECT_EQ(card(100, "uuid-0"), "0");
  EXPECT_EQ(card(700, "1"), "resource_exhausted");
  EXPECT_EQ(card(100, "2"), "invalid_argument");
}

TEST_F(DaemonTest, WithoutACardSaysSo) {
  Stop();
  Start({});
  EXPECT_EQ(Ask(Create(100, /*wait=*/true))["code"], "not_found");
}

TEST_F(DaemonTest, WhoWaitsIsServedInOrder) {
  Holder a(Create(1000, true));
  ASSERT_EQ(a.Said(), 's');
  Holder b(Create(600, true));
  ASSERT_EQ(b.Said(), 'w');
  Holder c(Create(500, true));
  ASSERT_EQ(c.Said(), 'w');
  const json waiting = Status()["waiting"];
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0]["share_permille"], 600);
  EXPECT_EQ(waiting[0]["position"], 1);
  EXPECT_EQ(waiting[1]["share_permille"], 500);
  EXPECT_EQ(waiting[1]["command"], "test");
  a.Kill();
  EXPECT_EQ(b.Said(), 's');
  EXPECT_TRUE(c.SaysNothing());
  EXPECT_EQ(Waiting(), 1u);
  b.Kill();
  EXPECT_EQ(c.Said(), 's');
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(DaemonTest, NobodyOvertakesThoseWhoWait) {
  Holder a(Create(500, true));
  ASSERT_EQ(a.Said(), 's');
  Holder b(Create(1000, true));
  ASSERT_EQ(b.Said(), 'w');
  EXPECT_EQ(Ask(Create(100))["code"], "resource_exhausted");
  // It would fit, but stands behind one that does not.
  Holder c(Create(500, true));
  ASSERT_EQ(c.Said(), 'w');
  // The one in front gives up.
  b.Kill();
  EXPECT_EQ(c.Said(), 's');
}

TEST_F(DaemonTest, NobodyWaitsForAnError) {
  Holder a(Create(1000, true));
  ASSERT_EQ(a.Said(), 's');
  Holder b(Create(1000, true));
  ASSERT_EQ(b.Said(), 'w');
  json request = Create(100, true);
  request["share_permille"] = "30%";
  EXPECT_EQ(Ask(request)["code"], "invalid_argument");
  EXPECT_EQ(Waiting(), 1u);
}

TEST_F(DaemonTest, SliceEndsWithItsLeaderAndLeavesAReport) {
  const int report = memfd_create("report", 0);
  Holder a(Create(400), report);
  ASSERT_EQ(a.Said(), 's');
  ASSERT_EQ(Slices(), 1u);
  const pid_t leader = a.pid();
  a.Kill();
  ASSERT_TRUE(Await([&] { return Slices() == 0; }));
  char text[4096] = {};
  ASSERT_GT(pread(report, text, sizeof(text) - 1, 0), 0);
  const json told = ParseJson(text);
  EXPECT_EQ(told["state"], "ended");
  EXPECT_EQ(told["leader_pid"], leader);
  EXPECT_EQ(told["share_permille"], 400);
  EXPECT_TRUE(told["duration_seconds"].is_number());
  close(report);
}

TEST_F(DaemonTest, SetKeepsToTheRoom) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  ASSERT_TRUE(Ask(Create(500)).contains("slice"));
  json set = {{"op", "set"}, {"slice", id}, {"share_permille", 500}};
  const json changed = Ask(set)["slice"];
  EXPECT_EQ(changed["share_permille"], 500);
  EXPECT_EQ(changed["limit_permille"], 500) << "the limit was the share, and stays it";
  set["share_permille"] = 501;
  EXPECT_EQ(Ask(set)["code"], "resource_exhausted");
  set["share_permille"] = 5;
  EXPECT_EQ(Ask(set)["code"], "invalid_argument");
  set = {{"op", "set"}, {"slice", id}, {"limit_permille", 400}};
  EXPECT_EQ(Ask(set)["code"], "invalid_argument") << "below the share";
  set["limit_permille"] = 1000;
  EXPECT_EQ(Ask(set)["slice"]["limit_permille"], 1000);
  set = {{"op", "set"}, {"slice", id}, {"memory_limit_bytes", 501 * model::kMiB}};
  EXPECT_EQ(Ask(set)["code"], "resource_exhausted");
}

TEST_F(DaemonTest, RoomThatSetMakesIsGivenToThoseWhoWait) {
  const std::string id = Ask(Create(1000))["slice"]["slice"];
  json request = Create(400, true);
  request["memory_limit_bytes"] = model::kMiB;
  Holder waiting(request);
  ASSERT_EQ(waiting.Said(), 'w');
  ASSERT_TRUE(Ask({{"op", "set"},
                   {"slice", id},
                   {"share_permille", 600},
                   {"memory_limit_bytes", 600 * model::kMiB}})
                  .contains("slice"));
  EXPECT_EQ(waiting.Said(), 's');
}

TEST_F(DaemonTest, PausesAndResumes) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  EXPECT_EQ(Ask({{"op", "pause"}, {"slice", id}})["slice"]["state"], "paused");
  EXPECT_EQ(Ask({{"op", "resume"}, {"slice", id}})["slice"]["state"], "starting");
}

TEST_F(DaemonTest, UnknownSlicesAreNotFound) {
  for (const char* op : {"set", "pause", "resume"}) {
    EXPECT_EQ(Ask({{"op", op}, {"slice", "s-none"}})["code"], "not_found") << op;
    EXPECT_EQ(Ask({{"op", op}})["code"], "not_found") << op;
    EXPECT_EQ(Ask({{"op", op}, {"slice", 5}})["code"], "not_found") << op;
  }
}

TEST_F(DaemonTest, RefusesFieldsOfAnotherKind) {
  for (const char* field : {"share_permille", "limit_permille", "memory_limit_bytes"}) {
    for (const json& value : {json("300"), json(-1), json(1.5), json(json::array()), json(true)}) {
      json request = Create(100);
      request[field] = value;
      EXPECT_EQ(Ask(request)["code"], "invalid_argument") << request;
    }
  }
  json request = Create(100);
  request["share_permille"] = uint64_t{1} << 40;
  EXPECT_EQ(Ask(request)["code"], "invalid_argument");
  request = Create(100);
  request["priority"] = "urgent";
  EXPECT_EQ(Ask(request)["code"], "invalid_argument");
  EXPECT_EQ(Ask({{"op", "explode"}})["code"], "unimplemented");
  EXPECT_EQ(Ask(json::object())["code"], "unimplemented");
  EXPECT_EQ(Slices(), 0u);
}

TEST_F(DaemonTest, StatusSurvivesStrangeRequestsThatWait) {
  ASSERT_TRUE(Ask(Create(1000)).contains("slice"));
  json strange = Create(100, true);
  strange["command"] = json::array({1, 2});
  strange["memory_limit_bytes"] = nullptr;
  strange["card"] = 7;
  Holder waiting(strange);
  ASSERT_EQ(waiting.Said(), 'w');
  const json told = Status()["waiting"];
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0]["command"], "");
  EXPECT_EQ(told[0]["memory_limit_bytes"], 0);
}

}  // namespace
}  // namespace flexai::operate
