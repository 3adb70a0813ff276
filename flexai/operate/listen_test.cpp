// One daemon per address.
#include "flexai/operate/listen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flexai/slice/attach.h"

namespace flexai::operate {
namespace {

class ListenTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/flexai-listen-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/made/socket";
  }
  void TearDown() override {
    unlink(path_.c_str());
    unlink((path_ + ".lock").c_str());
    rmdir((folder_ + "/made").c_str());
    rmdir(folder_.c_str());
  }
  static Code CodeOf(const std::string& address) { return Listen(address, 0600).status().code(); }

  std::string folder_, path_;
};

TEST_F(ListenTest, MakesFolderAndSocketThatClientsReach) {
  const auto fd = Listen(path_, 0660);
  ASSERT_TRUE(fd.ok()) << fd.status().ToString();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  const auto client = slice::ConnectDaemon(path_);
  EXPECT_TRUE(client.ok()) << client.status().ToString();
  close(*client);
  close(*fd);
}

TEST_F(ListenTest, SecondOneIsToldThatThereIsOne) {
  const auto first = Listen(path_, 0600);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(CodeOf(path_), Code::kAlreadyExists);
  // The first is none the worse for it.
  const auto client = slice::ConnectDaemon(path_);
  EXPECT_TRUE(client.ok());
  close(*client);
  close(*first);
}

TEST_F(ListenTest, SecondOneAtAnAbstractAddressToo) {
  const std::string address = "@flexai-listen-test-" + std::to_string(getpid());
  const auto first = Listen(address, 0600);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(CodeOf(address), Code::kAlreadyExists);
  close(*first);
  const auto again = Listen(address, 0600);
  EXPECT_TRUE(again.ok());
  close(*again);
}

TEST_F(ListenTest, ReplacesWhatADeadDaemonLeft) {
  const pid_t child = fork();
  if (child == 0) _exit(Listen(path_, 0600).ok() ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(slice::ConnectDaemon(path_).status().code(), Code::kUnavailable);
  const auto fd = Listen(path_, 0600);
  EXPECT_TRUE(fd.ok()) << fd.status().ToString();
  close(*fd);
}

TEST_F(ListenTest, LeavesAFileThatIsNoSocketAlone) {
  ASSERT_EQ(mkdir((folder_ + "/made").c_str(), 0755), 0);
  close(open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(CodeOf(path_), Code::kAlreadyExists);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(ListenTest, RefusesAddressesThatAreNone) {
  EXPECT_EQ(CodeOf(""), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf("@"), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf("/" + std::string(200, 'x')), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf("/proc/flexai/socket"), Code::kPermissionDenied);
}

}  // namespace
}  // namespace flexai::operate
