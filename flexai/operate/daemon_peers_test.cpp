// What libraries say to the daemon, and what peers send that are slow, broken, of another release
// or mean harm: after each, the daemon still answers.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "flexai/operate/daemon_fixture_test.h"
#include "flexai/operate/json_text.h"
#include "flexai/slice/region.h"

namespace flexai::operate {
namespace {

using slice::AttachReply;
using slice::AttachRequest;
using slice::Frame;
using slice::FrameHeader;
using slice::FrameType;
using slice::RegionMap;

class PeersTest : public DaemonTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(Status()["version"], "test") << "the daemon no longer answers";
    for (const int fd : sockets_) close(fd);
    DaemonTest::TearDown();
  }
  int Connect() {
    sockets_.push_back(Raw());
    return sockets_.back();
  }
  void Disconnect(int fd) {
    close(fd);
    std::erase(sockets_, fd);
  }
  static void Write(int fd, const void* data, size_t size) {
    ASSERT_EQ(send(fd, data, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
  }
  static Code CodeOfReply(int fd) {
    const auto frame = slice::ReceiveFrame(fd, kSoonMs);
    if (!frame.ok()) return frame.status().code();
    const json reply = ParseJson(frame->data);
    return reply.contains("error") ? CodeFromName(reply["error"]["code"].get<std::string>())
                                   : Code::kOk;
  }
  static Code SendText(int fd, const std::string& text) {
    EXPECT_TRUE(
        slice::SendFrame(fd, FrameType::kRequest, text.data(), static_cast<uint32_t>(text.size()))
            .ok());
    return CodeOfReply(fd);
  }
  static AttachRequest RequestFor(const std::string& id) {
    const std::string leader = std::to_string(getpid());
    return slice::ReadSliceVariable((id + ":300:300:1048576:1:" + leader + ":1").c_str()).value();
  }
  /// Attaches over `socket`; the region goes to `map_`.
  AttachReply Attach(int socket, const AttachRequest& request, int pass_fd = -1) {
    AttachReply reply = {};
    reply.code = -1;
    EXPECT_TRUE(
        slice::SendFrame(socket, FrameType::kAttach, &request, sizeof(request), pass_fd).ok());
    const auto frame = slice::ReceiveFrame(socket, kSoonMs);
    EXPECT_TRUE(frame.ok()) << frame.status().ToString();
    if (!frame.ok() || frame->data.size() != sizeof(reply)) return reply;
    memcpy(&reply, frame->data.data(), sizeof(reply));
    if (frame->fd >= 0) map_ = RegionMap::Open(frame->fd).value();
    return reply;
  }
  static Code CodeOf(const AttachReply& reply) { return static_cast<Code>(reply.code); }

  std::vector<int> sockets_;
  RegionMap map_;
};

TEST_F(PeersTest, NoJsonIsRefusedAndTheConnectionLives) {
  const int fd = Connect();
  for (const char* text :
       {"", "{", "[]", "5", "null", "\"op\"", "\xff\xfe", "{\"op\":\"status\"}x"}) {
    EXPECT_EQ(SendText(fd, text), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(SendText(fd, "{\"op\":\"status\"}"), Code::kOk);
}

TEST_F(PeersTest, DepthDoesNotExhaustTheStack) {
  const int fd = Connect();
  const std::string deep(1'000'000, '[');
  const std::string shut(1'000'000, ']');
  EXPECT_EQ(SendText(fd, deep), Code::kInvalidArgument);
  EXPECT_EQ(SendText(fd, "{\"op\":\"create\",\"share_permille\":" + deep + shut + "}"),
            Code::kInvalidArgument);
  // One that is kept, because it waits.
  ASSERT_TRUE(Ask(Create(1000)).contains("slice"));
  EXPECT_EQ(SendText(fd, "{\"op\":\"create\",\"x\":" + deep + shut + "}"), Code::kOk);
  EXPECT_EQ(Waiting(), 1u);
}

TEST_F(PeersTest, HalfFramesKeepNobodyWaiting) {
  const std::string text = "{\"op\":\"status\"}";
  FrameHeader header;
  header.type = static_cast<uint16_t>(FrameType::kRequest);
  header.length = static_cast<uint32_t>(text.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += text;
  const int fd = Connect();
  for (const char& byte : bytes) {
    Write(fd, &byte, 1);
    if (&byte == &bytes[5] || &byte == &bytes[20]) {
      EXPECT_EQ(Status()["version"], "test");
    }
  }
  EXPECT_EQ(CodeOfReply(fd), Code::kOk);
}

TEST_F(PeersTest, ManyFramesAtOnceAreAnsweredInOrder) {
  const std::string text = "{\"op\":\"status\"}";
  FrameHeader header;
  header.type = static_cast<uint16_t>(FrameType::kRequest);
  header.length = static_cast<uint32_t>(text.size());
  std::string bytes;
  for (int i = 0; i < 20; ++i) {
    bytes.append(reinterpret_cast<const char*>(&header), sizeof(header)).append(text);
  }
  const int fd = Connect();
  Write(fd, bytes.data(), bytes.size());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(CodeOfReply(fd), Code::kOk);
}

TEST_F(PeersTest, CutFramesAreForgotten) {
  FrameHeader header;
  header.length = 1000;
  for (const size_t size : {size_t{1}, sizeof(header)}) {
    const int fd = Connect();
    Write(fd, &header, size);
    Disconnect(fd);
  }
}

TEST_F(PeersTest, OtherVersionLearnsOursAndIsDropped) {
  const int fd = Connect();
  FrameHeader theirs;
  theirs.version = 9;
  Write(fd, &theirs, sizeof(theirs));
  const auto answer = slice::ReceiveFrame(fd, kSoonMs);
  ASSERT_TRUE(answer.ok()) << "a bare header of our version: " << answer.status().ToString();
  EXPECT_EQ(answer->data, "");
  EXPECT_EQ(slice::ReceiveFrame(fd, kSoonMs).status().code(), Code::kUnavailable);
}

TEST_F(PeersTest, WhatIsNoFrameIsDropped) {
  const int fd = Connect();
  const char text[] = "GET / HTTP/1.1\r\n\r\n";
  Write(fd, text, sizeof(text));
  EXPECT_TRUE(slice::ReceiveFrame(fd, kSoonMs).ok());
  EXPECT_EQ(slice::ReceiveFrame(fd, kSoonMs).status().code(), Code::kUnavailable);
}

TEST_F(PeersTest, LibraryAttachesUsesAndGoes) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  const int fd = Connect();
  const AttachReply reply = Attach(fd, RequestFor(id));
  ASSERT_EQ(CodeOf(reply), Code::kOk) << reply.message;
  ASSERT_TRUE(map_);
  EXPECT_EQ(map_->slots[reply.slot].owner, reply.owner);
  EXPECT_EQ(map_->header.memory_limit, 300 * model::kMiB);
  map_->slots[reply.slot].used = 5000;
  map_->slots[reply.slot].refused = 3;
  json slice = Status()["slices"][0];
  EXPECT_EQ(slice["memory_used_bytes"], 5000);
  EXPECT_EQ(slice["refused_allocations"], 3);
  ASSERT_EQ(slice["processes"].size(), 1u);
  EXPECT_EQ(slice["processes"][0]["pid"], getpid());
  Disconnect(fd);
  ASSERT_TRUE(Await([&] { return Status()["slices"][0]["processes"].empty(); }));
  slice = Status()["slices"][0];
  EXPECT_EQ(slice["memory_used_bytes"], 0) << "the slot of the gone is cleared";
  EXPECT_EQ(slice["refused_allocations"], 3) << "what it was refused stays told";
  EXPECT_EQ(map_->slots[reply.slot].owner, 0u);
}

TEST_F(PeersTest, ProcessesGetSlotsOfTheirOwn) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  const AttachReply first = Attach(Connect(), RequestFor(id));
  const AttachReply second = Attach(Connect(), RequestFor(id));
  EXPECT_NE(first.slot, second.slot);
}

TEST_F(PeersTest, OneAttachForEachConnection) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  const int fd = Connect();
  ASSERT_EQ(CodeOf(Attach(fd, RequestFor(id))), Code::kOk);
  EXPECT_EQ(CodeOf(Attach(fd, RequestFor(id))), Code::kAlreadyExists);
  EXPECT_EQ(Status()["slices"][0]["processes"].size(), 1u);
}

TEST_F(PeersTest, LowerMemoryThanUsedWantsToBeMeant) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  const AttachReply reply = Attach(Connect(), RequestFor(id));
  map_->slots[reply.slot].used = 200 * model::kMiB;
  json set = {{"op", "set"}, {"slice", id}, {"memory_limit_bytes", 100 * model::kMiB}};
  EXPECT_EQ(Ask(set)["code"], "failed_precondition");
  EXPECT_EQ(map_->header.memory_limit, 300 * model::kMiB);
  set["no_growth"] = true;
  EXPECT_EQ(Ask(set)["slice"]["memory_limit_bytes"], 100 * model::kMiB);
  EXPECT_EQ(map_->header.memory_limit, 100 * model::kMiB);
}

TEST_F(PeersTest, RefusesAttachesThatMakeNoSense) {
  const std::string id = Ask(Create(300))["slice"]["slice"];
  AttachRequest request = RequestFor(id);
  request.region_version = 99;
  EXPECT_EQ(CodeOf(Attach(Connect(), request)), Code::kFailedPrecondition);
  request = RequestFor(id);
  memset(request.slice, 'x', sizeof(request.slice));
  EXPECT_EQ(CodeOf(Attach(Connect(), request)), Code::kInvalidArgument);
  request = RequestFor(id);
  request.slot = 3;  // without the page that it is in
  EXPECT_EQ(CodeOf(Attach(Connect(), request)), Code::kAborted);
  const int fd = Connect();
  ASSERT_TRUE(slice::SendFrame(fd, FrameType::kAttach, "short", 5).ok());
  const auto frame = slice::ReceiveFrame(fd, kSoonMs);
  ASSERT_TRUE(frame.ok());
  ASSERT_EQ(frame->data.size(), sizeof(AttachReply));
  EXPECT_TRUE(Status()["slices"][0]["processes"].empty());
}

// What a process of the last daemon brings along: its page and its slot.
AttachRequest Bring(RegionMap& map, const AttachRequest& plain) {
  map->header.share = 400;
  map->header.limit = 600;
  map->header.memory_limit = 50 * model::kMiB;
  map->header.owner_uid = getuid();
  map->header.leader_pid = getpid();
  strcpy(map->header.card, "0");
  map->header.slots_used = 3;
  map->slots[2].owner = 77;
  map->slots[2].used = 4000;
  map->slots[1].owner = 66;  // died between the two daemons
  map->slots[1].used = 9000;
  AttachRequest request = plain;
  request.slot = 2;
  request.owner = 77;
  return request;
}

TEST_F(PeersTest, SuccessorTakesASliceOver) {
  RegionMap map = RegionMap::Create("s-old").value();
  const AttachRequest request = Bring(map, RequestFor("s-old"));
  const AttachReply reply = Attach(Connect(), request, map.fd());
  ASSERT_EQ(CodeOf(reply), Code::kOk) << reply.message;
  EXPECT_EQ(reply.slot, 2);
  json slice = Status()["slices"][0];
  EXPECT_EQ(slice["slice"], "s-old");
  EXPECT_EQ(slice["share_permille"], 400);
  EXPECT_EQ(slice["limit_permille"], 600);
  EXPECT_EQ(slice["memory_limit_bytes"], 50 * model::kMiB);
  // Slots that nobody claims are cleared after a while.
  EXPECT_TRUE(Await([&] { return Status()["slices"][0]["memory_used_bytes"] == 4000; }));
  EXPECT_EQ(map->slots[1].owner, 0u);
  // The slot is taken now.
  EXPECT_EQ(CodeOf(Attach(Connect(), request, map.fd())), Code::kAborted);
}

TEST_F(PeersTest, SuccessorTakesNoForgery) {
  RegionMap map = RegionMap::Create("s-old").value();
  const AttachRequest request = Bring(map, RequestFor("s-old"));
  const int loose = memfd_create("loose", MFD_CLOEXEC);
  ASSERT_EQ(write(loose, map.get(), sizeof(slice::Region)),
            static_cast<ssize_t>(sizeof(slice::Region)));
  EXPECT_EQ(CodeOf(Attach(Connect(), request, loose)), Code::kDataLoss);
  close(loose);
  map->header.share = 5000;
  EXPECT_EQ(CodeOf(Attach(Connect(), request, map.fd())), Code::kInvalidArgument);
  map->header.share = 400;
  AttachRequest other = request;
  other.owner = 78;
  EXPECT_EQ(CodeOf(Attach(Connect(), other, map.fd())), Code::kAborted);
  EXPECT_TRUE(Status()["slices"].empty()) << "what is refused leaves nothing";
}

TEST_F(PeersTest, SuccessorGivesNoRoomTwice) {
  ASSERT_EQ(Ask(Create(700))["slice"]["share_permille"], 700);
  RegionMap map = RegionMap::Create("s-old").value();
  const AttachRequest request = Bring(map, RequestFor("s-old"));  // 400 of the card
  EXPECT_EQ(CodeOf(Attach(Connect(), request, map.fd())), Code::kResourceExhausted);
  EXPECT_EQ(Status()["slices"].size(), 1u);
}

}  // namespace
}  // namespace flexai::operate
