// Frames over a socketpair as good, broken and hostile peers send them; regions that are none; what
// FLEXAI_SLICE may say.
#include "flexai/slice/attach.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "flexai/slice/region.h"

namespace flexai::slice {
namespace {

constexpr int kSoon = 5000;  // far more than any of these takes

// Descriptors of this process, to see that none is lost.
int OpenFiles() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder)) ++count;
  closedir(folder);
  return count;
}

ino_t Inode(int fd) {
  struct stat info = {};
  fstat(fd, &info);
  return info.st_ino;
}

class FrameTest : public testing::Test {
 protected:
  void SetUp() override {
    before_ = OpenFiles();
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
  }
  void TearDown() override {
    CloseOurs();
    close(ends_[1]);
    EXPECT_EQ(OpenFiles(), before_) << "a descriptor was lost";
  }
  void CloseOurs() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }
  void Write(const void* data, size_t size) {
    ASSERT_EQ(write(ends_[0], data, size), static_cast<ssize_t>(size));
  }
  // Bytes with `fds` along, as no function of ours sends them.
  void WriteWith(const void* data, size_t size, std::initializer_list<int> fds) {
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    iovec part = {const_cast<void*>(data), size};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(c), fds.begin(), fds.size() * sizeof(int));
    ASSERT_EQ(sendmsg(ends_[0], &message, 0), static_cast<ssize_t>(size));
  }
  Code ReceivedCode() { return ReceiveFrame(ends_[1], kSoon).status().code(); }

  int ends_[2] = {-1, -1};
  int before_ = 0;
};

TEST_F(FrameTest, ArrivesAsItWasSent) {
  ASSERT_TRUE(SendFrame(ends_[0], FrameType::kReply, "hello", 5).ok());
  ASSERT_TRUE(SendFrame(ends_[0], FrameType::kAttach, nullptr, 0).ok());
  const auto first = ReceiveFrame(ends_[1], kSoon);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->type, FrameType::kReply);
  EXPECT_EQ(first->data, "hello");
  EXPECT_EQ(first->fd, -1);
  const auto second = ReceiveFrame(ends_[1], kSoon);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->type, FrameType::kAttach);
  EXPECT_EQ(second->data, "");
}

TEST_F(FrameTest, LargeOnesGoThroughSmallBuffers) {
  const int small = 4096;
  setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  std::string sent(kMaxFrame, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + i / 251);
  std::thread writer(
      [&] { EXPECT_TRUE(SendFrame(ends_[0], FrameType::kRequest, sent.data(), kMaxFrame).ok()); });
  const auto frame = ReceiveFrame(ends_[1], kSoon);
  writer.join();
  ASSERT_TRUE(frame.ok()) << frame.status().ToString();
  EXPECT_TRUE(frame->data == sent);
}

TEST_F(FrameTest, ArrivesByteByByte) {
  FrameHeader header;
  header.type = static_cast<uint16_t>(FrameType::kReply);
  header.length = 3;
  std::string bytes(reinterpret_cast<char*>(&header), sizeof(header));
  bytes += "abc";
  std::thread writer([&] {
    for (const char& byte : bytes) Write(&byte, 1);
  });
  const auto frame = ReceiveFrame(ends_[1], kSoon);
  writer.join();
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->data, "abc");
}

TEST_F(FrameTest, CutInTheHeaderOrBehindItIsALostPeer) {
  FrameHeader header;
  header.length = 100;
  for (const size_t size : {size_t{0}, size_t{5}, sizeof(header)}) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ASSERT_EQ(write(pair[0], &header, size), static_cast<ssize_t>(size));
    close(pair[0]);
    EXPECT_EQ(ReceiveFrame(pair[1], kSoon).status().code(), Code::kUnavailable) << size;
    close(pair[1]);
  }
}

TEST_F(FrameTest, SilentPeerIsGivenUp) {
  EXPECT_EQ(ReceiveFrame(ends_[1], 1).status().code(), Code::kUnavailable);
  FrameHeader header;
  header.length = 1;
  Write(&header, sizeof(header));
  EXPECT_EQ(ReceiveFrame(ends_[1], 1).status().code(), Code::kUnavailable);
}

TEST_F(FrameTest, WrongMagicIsNoFrame) {
  FrameHeader header;
  header.magic ^= 1;
  Write(&header, sizeof(header));
  EXPECT_EQ(ReceivedCode(), Code::kDataLoss);
}

TEST_F(FrameTest, TooLongIsNoFrame) {
  FrameHeader header;
  header.length = kMaxFrame + 1;
  Write(&header, sizeof(header));
  EXPECT_EQ(ReceivedCode(), Code::kDataLoss);
}

TEST_F(FrameTest, OtherVersionIsNamed) {
  FrameHeader header;
  header.version = kProtocolVersion + 6;
  Write(&header, sizeof(header));
  const Status status = ReceiveFrame(ends_[1], kSoon).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find(std::to_string(kProtocolVersion + 6)), std::string_view::npos);
}

TEST_F(FrameTest, SendingToALostPeerFailsWithoutASignal) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  close(pair[1]);
  EXPECT_EQ(SendFrame(pair[0], FrameType::kReply, "x", 1).code(), Code::kUnavailable);
  close(pair[0]);
}

TEST_F(FrameTest, PassesAFile) {
  const int file = memfd_create("passed", MFD_CLOEXEC);
  ASSERT_TRUE(SendFrame(ends_[0], FrameType::kAttached, "x", 1, file).ok());
  const auto frame = ReceiveFrame(ends_[1], kSoon);
  ASSERT_TRUE(frame.ok());
  ASSERT_GE(frame->fd, 0);
  EXPECT_NE(frame->fd, file);
  EXPECT_EQ(Inode(frame->fd), Inode(file));
  EXPECT_NE(fcntl(frame->fd, F_GETFD) & FD_CLOEXEC, 0);
  close(frame->fd);
  close(file);
}

TEST_F(FrameTest, KeepsTheFirstOfManyFilesAndLosesNone) {
  const int files[] = {memfd_create("a", MFD_CLOEXEC), memfd_create("b", MFD_CLOEXEC),
                       memfd_create("c", MFD_CLOEXEC)};
  FrameHeader header;
  header.length = 1;
  WriteWith(&header, sizeof(header), {files[0], files[1], files[2]});
  WriteWith("x", 1, {files[2]});
  const auto frame = ReceiveFrame(ends_[1], kSoon);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(Inode(frame->fd), Inode(files[0]));
  close(frame->fd);
  for (const int file : files) close(file);
}

TEST_F(FrameTest, ClosesTheFileOfABrokenFrame) {
  const int file = memfd_create("passed", MFD_CLOEXEC);
  FrameHeader header;
  header.magic = 0;
  WriteWith(&header, sizeof(header), {file});
  EXPECT_EQ(ReceivedCode(), Code::kDataLoss);
  close(file);
}

TEST(RegionMapTest, CrossesASocketAndIsSharedMemory) {
  auto made = RegionMap::Create("s-1");
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  auto opened = RegionMap::Open(dup(made->fd()));
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  EXPECT_STREQ((*opened)->header.slice, "s-1");
  (*made)->header.memory_limit = 77;
  EXPECT_EQ((*opened)->header.memory_limit, 77u);
}

TEST(RegionMapTest, NobodyChangesItsSize) {
  auto made = RegionMap::Create("s-1");
  ASSERT_TRUE(made.ok());
  EXPECT_NE(ftruncate(made->fd(), 0), 0);
  EXPECT_NE(ftruncate(made->fd(), 2 * sizeof(Region)), 0);
}

// A memfd of `size` bytes with a header, as a peer may make it.
int Forged(off_t size, uint32_t magic, uint32_t version, bool sealed) {
  const int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(ftruncate(fd, size), 0);
  const uint32_t words[2] = {magic, version};
  EXPECT_EQ(pwrite(fd, words, sizeof(words), 0), static_cast<ssize_t>(sizeof(words)));
  if (sealed) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return fd;
}

TEST(RegionMapTest, RefusesWhatIsNone) {
  constexpr off_t kSize = sizeof(Region);
  const auto code = [](int fd) { return RegionMap::Open(fd).status().code(); };
  EXPECT_EQ(code(Forged(kSize, kRegionMagic, kRegionVersion, true)), Code::kOk);
  EXPECT_EQ(code(Forged(kSize, kRegionMagic, kRegionVersion, false)), Code::kDataLoss);
  EXPECT_EQ(code(Forged(kSize, kRegionMagic + 1, kRegionVersion, true)), Code::kDataLoss);
  EXPECT_EQ(code(Forged(kSize, kRegionMagic, 9, true)), Code::kFailedPrecondition);
  EXPECT_EQ(code(Forged(kSize - 128, kRegionMagic, kRegionVersion, true)),
            Code::kFailedPrecondition);
  EXPECT_EQ(code(Forged(100, kRegionMagic, kRegionVersion, true)), Code::kDataLoss);
  EXPECT_EQ(code(open("/dev/null", O_RDWR | O_CLOEXEC)), Code::kDataLoss);
}

TEST(SliceVariableTest, ReadsWhatItWrites) {
  model::SliceSpec spec;
  spec.share = 300;
  spec.limit = 500;
  spec.memory = 8589934592;
  spec.priority = model::Priority::kHigh;
  spec.cards = 2;
  const auto read = ReadSliceVariable(WriteSliceVariable("s-7f3a", spec, 4711).c_str());
  ASSERT_TRUE(read.ok());
  EXPECT_STREQ(read->slice, "s-7f3a");
  EXPECT_EQ(read->share, 300);
  EXPECT_EQ(read->limit, 500);
  EXPECT_EQ(read->memory, 8589934592u);
  EXPECT_EQ(read->priority, 2u);
  EXPECT_EQ(read->leader_pid, 4711);
  EXPECT_EQ(read->cards, 2);
  EXPECT_EQ(read->part, 0);
  EXPECT_EQ(read->region_version, kRegionVersion);
  EXPECT_EQ(read->slot, -1);
  EXPECT_EQ(read->owner, 0u);
}

TEST(SliceVariableTest, TakesTheLongestId) {
  const std::string id(31, 'x');
  EXPECT_TRUE(ReadSliceVariable((id + ":1:1:1:1:1:1").c_str()).ok());
  EXPECT_EQ(ReadSliceVariable((id + "x:1:1:1:1:1:1").c_str()).status().code(),
            Code::kInvalidArgument);
}

TEST(SliceVariableTest, RefusesAnyOtherForm) {
  for (const char* text : {"",
                           ":",
                           ":::::",
                           "s",
                           "s:1:1:1:1",
                           "s:1:1:1:1:",
                           "s:1:1:1:1:1:",
                           "s:1:1:1:1:1",
                           "s:1:1:1:1:1 :1",
                           "s:1:1:1:1:1:1:",
                           "s:1:1:1:1:1:1:1",
                           "s: 1:1:1:1:1:1",
                           "s:+1:1:1:1:1:1",
                           "s:-1:1:1:1:1:1",
                           "s:1:1:-1:1:1:1",
                           "s:1:1:1:1:-1:1",
                           "s:1::1:1:1:1",
                           "s:x:1:1:1:1:1",
                           "s:0x1:1:1:1:1:1",
                           "s:1.5:1:1:1:1:1",
                           "s:2147483648:1:1:1:1:1",
                           "s:1:1:18446744073709551616:1:1:1",
                           "s:1:1:1:4294967296:1:1",
                           "s:1:1:1:1:1:0",
                           "s:1:1:1:1:1:17",
                           ":1:1:1:1:1:1"}) {
    const auto read = ReadSliceVariable(text);
    EXPECT_EQ(read.status().code(), Code::kInvalidArgument) << text;
    EXPECT_FALSE(read.status().hint().empty());
  }
}

TEST(ConnectTest, NobodyThereIsUnavailableAndLosesNothing) {
  const int before = OpenFiles();
  EXPECT_EQ(ConnectDaemon("@flexai-attach-test-nobody").status().code(), Code::kUnavailable);
  EXPECT_EQ(ConnectDaemon("/nonexistent/flexaid.sock").status().code(), Code::kUnavailable);
  EXPECT_EQ(ConnectDaemon("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ConnectDaemon(std::string(108, 'x')).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(OpenFiles(), before);
}

TEST(ConnectTest, NamedAddressIsTheOnlyOne) {
  setenv("FLEXAI_SOCKET", "@named", 1);
  std::string addresses[3];
  EXPECT_EQ(DaemonAddresses(ReadDaemonEnvironment(), addresses), 1);
  EXPECT_EQ(addresses[0], "@named");
  unsetenv("FLEXAI_SOCKET");
  setenv("XDG_RUNTIME_DIR", "/tmp", 1);
  EXPECT_EQ(UserDaemonAddress(ReadDaemonEnvironment()), "/tmp/flexai/flexaid.sock");
  for (const char* useless : {"relative", "/nonexistent", "/dev/null"}) {
    setenv("XDG_RUNTIME_DIR", useless, 1);
    EXPECT_EQ(UserDaemonAddress(ReadDaemonEnvironment()), "@flexai-" + std::to_string(geteuid()));
  }
  unsetenv("XDG_RUNTIME_DIR");
  const int count = DaemonAddresses(ReadDaemonEnvironment(), addresses);
  EXPECT_EQ(addresses[count - 1], "@flexai-" + std::to_string(geteuid()));
}

}  // namespace
}  // namespace flexai::slice
