// Slices of several cards: all or none of them is given, changed and taken away, and each has a
// page of its own.
#include <sys/mman.h>

#include <set>

#include "flexai/operate/daemon_fixture_test.h"

namespace flexai::operate {
namespace {

using slice::AttachReply;
using slice::AttachRequest;
using slice::FrameType;
using slice::RegionMap;

model::Card JoiningCard(const char* id, const char* model = "alike") {
  model::Card card = TestCard(id);
  card.kind = "gpu";
  card.model = model;
  card.joins = true;
  return card;
}

json CreateOn(int cards, int share, bool wait = false) {
  json request = Create(share, wait);
  request["cards"] = cards;
  return request;
}

class CardsTest : public DaemonTest {
 protected:
  void SetUp() override { Start({JoiningCard("0"), JoiningCard("1"), JoiningCard("2", "other")}); }

  int Granted(size_t card) { return Status()["cards"][card]["share_granted_permille"]; }

  /// Attaches as a process of the slice does for one of its cards; the page goes to `map`.
  AttachReply Attach(int socket, AttachRequest request, int part, RegionMap* map,
                     int pass_fd = -1) {
    request.part = part;
    AttachReply reply = {};
    reply.code = -1;
    EXPECT_TRUE(
        slice::SendFrame(socket, FrameType::kAttach, &request, sizeof(request), pass_fd).ok());
    auto frame = slice::ReceiveFrame(socket, kSoonMs);
    EXPECT_TRUE(frame.ok() && frame->data.size() == sizeof(reply));
    if (frame.ok()) memcpy(&reply, frame->data.data(), sizeof(reply));
    if (frame.ok() && frame->fd >= 0) *map = RegionMap::Open(frame->fd).value();
    return reply;
  }

  static AttachRequest RequestFor(const std::string& slice, int cards) {
    model::SliceSpec spec;
    spec.share = spec.limit = 300;
    spec.memory = model::kMiB;
    spec.cards = cards;
    return slice::ReadSliceVariable(slice::WriteSliceVariable(slice, spec, getpid()).c_str())
        .value();
  }
};

TEST_F(CardsTest, EachCardGivesWhatWasAsked) {
  const json slice = Ask(CreateOn(2, 300))["slice"];
  ASSERT_EQ(slice["parts"].size(), 2u);
  EXPECT_EQ(slice["cards"], 2);
  for (size_t part = 0; part < 2; ++part) {
    const json& each = slice["parts"][part];
    EXPECT_EQ(each["slice"], slice["slice"]);
    EXPECT_EQ(each["part"], part);
    EXPECT_EQ(each["card"], std::to_string(part));
    EXPECT_EQ(each["memory_limit_bytes"], 300 * model::kMiB);
    EXPECT_EQ(Granted(part), 300);
  }
  EXPECT_EQ(Granted(2), 0);
  EXPECT_EQ(Status()["slices"].size(), 2u);
}

TEST_F(CardsTest, AllOrNone) {
  ASSERT_TRUE(Ask(Create(800)).contains("slice"));  // the fullest card, of all that are empty
  const json refused = Ask(CreateOn(2, 300));
  EXPECT_EQ(refused["code"], "resource_exhausted") << refused;
  EXPECT_EQ(Granted(1), 0);
  EXPECT_TRUE(Ask(CreateOn(2, 200)).contains("slice"));
}

TEST_F(CardsTest, OnlyAsManyAsThereAreOfAKind) {
  EXPECT_EQ(Ask(CreateOn(3, 300))["code"], "out_of_range");
  EXPECT_EQ(Ask(CreateOn(0, 300))["code"], "invalid_argument");
  EXPECT_EQ(Ask(CreateOn(17, 300))["code"], "invalid_argument");
  json named = CreateOn(2, 300);
  named["card"] = "0,2";
  EXPECT_EQ(Ask(named)["code"], "out_of_range");
  named["card"] = "1,0";
  EXPECT_EQ(Ask(named)["slice"]["parts"].size(), 2u);
  for (const char* unknown : {"0,9", "", "0,", ","}) {
    named["card"] = unknown;
    EXPECT_EQ(Ask(named)["code"], "invalid_argument") << unknown;
  }
}

TEST_F(CardsTest, CardsThatCannotBeJoinedAreNot) {
  Stop();
  Start({TestCard("0"), TestCard("1")});
  EXPECT_EQ(Ask(CreateOn(2, 300))["code"], "out_of_range");
}

TEST_F(CardsTest, IsChangedAndPausedAsAWhole) {
  const std::string name = Ask(CreateOn(2, 300))["slice"]["slice"];
  json beside = Create(500);
  beside["card"] = "1";
  ASSERT_TRUE(Ask(beside).contains("slice"));
  // There is room on card 0 alone.
  EXPECT_EQ(Ask({{"op", "set"}, {"slice", name}, {"share_permille", 600}})["code"],
            "resource_exhausted");
  EXPECT_EQ(Granted(0), 300);
  EXPECT_EQ(Ask({{"op", "set"}, {"slice", name}, {"share_permille", 500}})["slice"]["parts"].size(),
            2u);
  EXPECT_EQ(Granted(0), 500);
  EXPECT_EQ(Granted(1), 1000);
  const json paused = Ask({{"op", "pause"}, {"slice", name}});
  for (const json& part : paused["slice"]["parts"]) {
    EXPECT_EQ(part["state"], "paused");
  }
}

TEST_F(CardsTest, WaitsForAllItsCardsAndEndsOnAll) {
  Holder first(CreateOn(2, 600));
  ASSERT_EQ(first.Said(), 's');
  json beside = Create(400);
  beside["card"] = "1";
  ASSERT_TRUE(Ask(beside).contains("slice"));
  Holder second(CreateOn(2, 500, /*wait=*/true));
  EXPECT_EQ(second.Said(), 'w');
  first.Kill();
  EXPECT_EQ(second.Said(), 's');
  EXPECT_EQ(Granted(0), 500);
  EXPECT_EQ(Granted(1), 900);
}

TEST_F(CardsTest, AProcessHasASlotOnEachCard) {
  const std::string name = Ask(CreateOn(2, 300))["slice"]["slice"];
  const int sockets[2] = {Raw(), Raw()};
  RegionMap maps[2];
  std::set<std::string> cards;
  for (int part = 0; part < 2; ++part) {
    EXPECT_EQ(Attach(sockets[part], RequestFor(name, 2), part, &maps[part]).code, 0);
    cards.insert(maps[part]->header.card_uuid);
  }
  EXPECT_EQ(cards, (std::set<std::string>{"uuid-0", "uuid-1"}));
  maps[1]->slots[0].used = 5 * model::kMiB;
  const json slices = Status()["slices"];
  EXPECT_EQ(slices[0]["memory_used_bytes"], 0);
  EXPECT_EQ(slices[1]["memory_used_bytes"], 5 * model::kMiB);
  RegionMap none;
  const int other = Raw();
  EXPECT_NE(Attach(other, RequestFor(name, 2), 2, &none).code, 0);
  for (const int fd : {sockets[0], sockets[1], other}) close(fd);
}

// As after the daemon's death and in any order: each page comes with its card, and they are one
// slice again.
TEST_F(CardsTest, SuccessorTakesAllPartsOver) {
  RegionMap maps[2];
  int sockets[2];
  for (const int part : {1, 0}) {
    maps[part] = RegionMap::Create("s-old").value();
    slice::RegionHeader& h = maps[part]->header;
    h.share = 400;
    h.limit = 600;
    h.memory_limit = 50 * model::kMiB;
    h.owner_uid = getuid();
    h.leader_pid = getpid();
    strcpy(h.card, std::to_string(1 - part).c_str());
    h.slots_used = 1;
    maps[part]->slots[0].owner = 77;
    AttachRequest request = RequestFor("s-old", 2);
    request.slot = 0;
    request.owner = 77;
    sockets[part] = Raw();
    RegionMap none;
    const AttachReply reply = Attach(sockets[part], request, part, &none, maps[part].fd());
    EXPECT_EQ(reply.code, 0) << reply.message;
  }
  EXPECT_EQ(Granted(0), 400);
  EXPECT_EQ(Granted(1), 400);
  const json whole = Ask({{"op", "set"}, {"slice", "s-old"}, {"share_permille", 500}})["slice"];
  EXPECT_EQ(whole["parts"].size(), 2u);
  EXPECT_EQ(whole["parts"][0]["card"], "1");
  for (const int fd : sockets) close(fd);
}

TEST_F(CardsTest, APageThatDoesNotFitItsOthersIsRefused) {
  const std::string name = Ask(CreateOn(2, 300))["slice"]["slice"];
  RegionMap map = RegionMap::Create(name).value();
  slice::RegionHeader& h = map->header;
  h.share = h.limit = 100;
  h.memory_limit = 50 * model::kMiB;
  h.owner_uid = getuid();
  h.leader_pid = getpid();
  strcpy(h.card, "0");
  map->slots[0].owner = 77;
  AttachRequest request = RequestFor(name, 3);  // of three cards, it says
  request.slot = 0;
  request.owner = 77;
  const int socket = Raw();
  RegionMap none;
  EXPECT_EQ(Attach(socket, request, 2, &none, map.fd()).code, static_cast<int>(Code::kAborted));
  EXPECT_EQ(Granted(0), 300);
  close(socket);
}

// What holds when no daemon decides: at the same time on all cards of a slice, and not at that of
// others.
TEST_F(CardsTest, WindowsOfOneSliceLieAtTheSameTime) {
  json beside = Create(300);
  beside["card"] = "0";
  const std::string single = Ask(beside)["slice"]["slice"];
  const std::string name = Ask(CreateOn(2, 300))["slice"]["slice"];
  const int sockets[3] = {Raw(), Raw(), Raw()};
  RegionMap maps[3];
  for (int part = 0; part < 2; ++part) {
    ASSERT_EQ(Attach(sockets[part], RequestFor(name, 2), part, &maps[part]).code, 0);
  }
  ASSERT_EQ(Attach(sockets[2], RequestFor(single, 1), 0, &maps[2]).code, 0);
  EXPECT_EQ(maps[0]->header.window_begin, maps[1]->header.window_begin);
  EXPECT_EQ(maps[0]->header.window_length, maps[1]->header.window_length);
  const int64_t end = maps[0]->header.window_begin + maps[0]->header.window_length;
  const int64_t other = maps[2]->header.window_begin;
  EXPECT_TRUE(other >= end ||
              other + maps[2]->header.window_length <= maps[0]->header.window_begin);
  for (const int fd : sockets) close(fd);
}

}  // namespace
}  // namespace flexai::operate
