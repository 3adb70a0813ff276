// In a folder that looks like the kernel's two kinds of control groups; that processes really stand
// behind the fence is shown by tests/integration/program_test.py.
#include "flexai/operate/fence.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace flexai::operate {
namespace {

namespace fs = std::filesystem;

class FenceTest : public ::testing::Test {
 protected:
  FenceTest() {
    char name[] = "/tmp/flexai-fence-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~FenceTest() override { fs::remove_all(root_); }

  // The kernel makes these files; here they must be there before they are written.
  void Prepare(const fs::path& folder, std::initializer_list<const char*> files) {
    fs::create_directories(folder);
    for (const char* file : files) std::ofstream(folder / file).close();
  }
  static std::string Read(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path root_;
};

TEST_F(FenceTest, GivesAShareOfTheCoresInVersion1) {
  const fs::path folder = root_ / "cpu/flexai/s-1";
  Prepare(folder, {"cpu.cfs_period_us", "cpu.cfs_quota_us", "tasks"});
  Fence fence("s-1", root_);
  ASSERT_TRUE(fence.Hold(getpid(), 300, 2).ok());
  EXPECT_EQ(Read(folder / "cpu.cfs_period_us"), "20000");
  EXPECT_EQ(Read(folder / "cpu.cfs_quota_us"), "12000") << "30 % of two cores";
  EXPECT_EQ(Read(folder / "tasks"), std::to_string(getpid())) << "this process has one thread";
}

TEST_F(FenceTest, GivesAShareOfTheCoresInVersion2) {
  const fs::path folder = root_ / "flexai/s-1";
  Prepare(root_, {"cgroup.controllers", "cgroup.subtree_control"});
  Prepare(root_ / "flexai", {"cgroup.subtree_control"});
  Prepare(folder, {"cpu.max", "cgroup.procs"});
  Fence fence("s-1", root_);
  ASSERT_TRUE(fence.Hold(4711, 300, 2).ok());
  EXPECT_EQ(Read(root_ / "cgroup.subtree_control"), "+cpu");
  EXPECT_EQ(Read(root_ / "flexai/cgroup.subtree_control"), "+cpu");
  EXPECT_EQ(Read(folder / "cpu.max"), "12000 20000");
  EXPECT_EQ(Read(folder / "cgroup.procs"), "4711");
}

TEST_F(FenceTest, FollowsTheShare) {
  const fs::path folder = root_ / "cpu/flexai/s-1";
  Prepare(folder, {"cpu.cfs_period_us", "cpu.cfs_quota_us", "tasks"});
  Fence fence("s-1", root_);
  ASSERT_TRUE(fence.Hold(getpid(), 300, 2).ok());
  ASSERT_TRUE(fence.Hold(getpid(), 100, 4).ok());
  EXPECT_EQ(Read(folder / "cpu.cfs_quota_us").substr(0, 4), "8000");
}

TEST_F(FenceTest, SaysWhyThereIsNone) {
  Fence fence("s-1", root_ / "nowhere");
  const Status status = fence.Hold(getpid(), 300, 2);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("nowhere/cpu/flexai"), std::string::npos) << status.message();
}

TEST_F(FenceTest, LeavesNothing) {
  fs::create_directories(root_ / "cpu");
  {
    Fence fence("s-1", root_);
    // Folders are made, but here no kernel fills them.
    EXPECT_EQ(fence.Hold(getpid(), 300, 2).code(), Code::kUnavailable);
    EXPECT_TRUE(fs::exists(root_ / "cpu/flexai/s-1"));
  }
  EXPECT_FALSE(fs::exists(root_ / "cpu/flexai"));
}

TEST_F(FenceTest, SweepsWhatIsEmpty) {
  fs::create_directories(root_ / "cpu/flexai/s-1");
  Prepare(root_ / "cpu/flexai/s-2", {"cgroup.procs"});
  Fence::Sweep(root_);
  EXPECT_FALSE(fs::exists(root_ / "cpu/flexai/s-1"));
  EXPECT_TRUE(fs::exists(root_ / "cpu/flexai/s-2"));
}

}  // namespace
}  // namespace flexai::operate
