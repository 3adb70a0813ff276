// The parts of `run` that need no daemon: spec, environment, finding the program; and doctor's
// checks that can be told what to look at.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/flexai/doctor_checks.h"
#include "apps/flexai/program.h"
#include "apps/flexai/slice_words.h"
#include "apps/flexai/way_in.h"
#include "flexai/slice/attach.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

class Folder : public testing::Test {
 protected:
  Folder() {
    char pattern[] = "/tmp/flexai_test_XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~Folder() override { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text, mode_t mode) {
    const std::string file = path_ + "/" + name;
    std::ofstream(file) << text;
    chmod(file.c_str(), mode);
    return file;
  }
  std::string path_;
};

TEST(Spec, LimitFollowsShareUnlessGiven) {
  Arguments arguments;
  arguments.Set("share", "30%");
  EXPECT_EQ(ParseSpec(arguments)->limit, 300);
  arguments.Set("limit", "100%");
  EXPECT_EQ(ParseSpec(arguments)->limit, 1000);
  arguments.Set("limit", "20%");
  EXPECT_FALSE(ParseSpec(arguments).ok());
}

TEST(Spec, DefaultsToAWholeCard) {
  const json request = ToRequest(*ParseSpec(Arguments()));
  EXPECT_EQ(request["share_permille"], 1000);
  EXPECT_EQ(request["memory_limit_bytes"], 0);
  EXPECT_EQ(request["card"], "auto");
  EXPECT_EQ(request["priority"], "normal");
}

const json kSlice = {{"slice", "s-7f3a"},     {"card", "0"},
                     {"share_permille", 300}, {"limit_permille", 300},
                     {"priority", "low"},     {"memory_limit_bytes", 8ull << 30}};

TEST(Words, PromiseAndVariable) {
  EXPECT_EQ(Promise(kSlice, "H 80"), "card 0 (H 80), 30 % compute, 8.0 GiB, slice s-7f3a");
  json borrows = kSlice;
  borrows["limit_permille"] = 1000;
  EXPECT_EQ(Promise(borrows, ""), "card 0, 30 % compute (up to 100 %), 8.0 GiB, slice s-7f3a");
}

TEST(Words, LibrariesReadTheVariable) {
  const auto read = slice::ReadSliceVariable(SliceVariable(kSlice, 42).c_str());
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_STREQ(read->slice, "s-7f3a");
  EXPECT_EQ(read->share, 300);
  EXPECT_EQ(read->limit, 300);
  EXPECT_EQ(read->memory, 8ull << 30);
  EXPECT_EQ(read->priority, static_cast<uint32_t>(model::Priority::kLow));
  EXPECT_EQ(read->leader_pid, 42);
}

TEST(PutInFront, KeepsOthersAndStandsOnce) {
  EXPECT_EQ(PutInFront("/l.so", ""), "/l.so");
  EXPECT_EQ(PutInFront("/l.so", "/a.so:/b.so"), "/l.so:/a.so:/b.so");
  EXPECT_EQ(PutInFront("/l.so", "/a.so:/l.so::"), "/l.so:/a.so");
}

TEST(WaysIn, AreMadeFromTheBuild) {
  ASSERT_FALSE(WaysIn().empty());
  for (const WayIn& way : WaysIn()) {
    EXPECT_EQ(way.library, "libflexai_" + std::string(way.backend) + ".so");
    EXPECT_TRUE(way.loader.starts_with("lib"));
    EXPECT_TRUE(way.drivers.starts_with("/etc/"));
  }
}

TEST_F(Folder, FindsProgramsAsTheShellDoes) {
  const std::string good = Write("good", "#!/bin/sh\n", 0755);
  const std::string bad = Write("bad", "", 0644);
  setenv("PATH", path_.c_str(), 1);
  EXPECT_EQ(*FindProgram("good"), good);
  EXPECT_EQ(*FindProgram(good), good);
  EXPECT_EQ(FindProgram("bad").status().code(), Code::kPermissionDenied);
  EXPECT_EQ(FindProgram(bad).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(FindProgram(path_).status().code(), Code::kPermissionDenied);
  EXPECT_EQ(FindProgram("none").status().code(), Code::kNotFound);
  EXPECT_EQ(FindProgram(path_ + "/none").status().code(), Code::kNotFound);
  EXPECT_EQ(FindProgram("").status().code(), Code::kNotFound);
}

TEST(OneLine, IsBounded) {
  EXPECT_EQ(OneLine({"a", "b c"}), "a b c");
  EXPECT_LE(OneLine(std::vector<std::string>(10000, "word")).size(), 4096u);
}

TEST_F(Folder, DriversAreLoadedToKnowThatTheyLoad) {
  const WayIn& way = WaysIn()[0];
  EXPECT_EQ(CheckDrivers(way, path_ + "/none").verdict, Verdict::kFail);
  EXPECT_EQ(CheckDrivers(way, path_).verdict, Verdict::kFail);
  Write("good.icd", "libc.so.6\n", 0644);
  EXPECT_EQ(CheckDrivers(way, path_).verdict, Verdict::kPass);
  Write("bad.icd", "libthereisnosuch.so.9\n", 0644);
  const Finding mixed = CheckDrivers(way, path_);
  EXPECT_EQ(mixed.verdict, Verdict::kWarn);
  EXPECT_NE(mixed.found.find("bad.icd"), std::string::npos);
}

TEST(Doctor, KnowsALoaderWithoutLayers) {
  WayIn way = WaysIn()[0];
  way.loader = "libc.so.6";
  const Finding old = CheckLoader(way);
  EXPECT_EQ(old.verdict, Verdict::kFail);
  EXPECT_NE(old.found.find("does not know"), std::string::npos) << old.found;
  way.loader = "libthereisnosuch.so.9";
  EXPECT_EQ(CheckLoader(way).verdict, Verdict::kFail);
}

TEST(Doctor, WarnsOfForeignLayers) {
  const WayIn& way = WaysIn()[0];
  EXPECT_EQ(CheckLayerList(way, "").verdict, Verdict::kPass);
  EXPECT_EQ(CheckLayerList(way, "/other.so").verdict, Verdict::kWarn);
}

TEST(Doctor, ComparesVersions) {
  EXPECT_EQ(
      CheckVersion({{"version", FLEXAI_VERSION}, {"protocol", slice::kProtocolVersion}}).verdict,
      Verdict::kPass);
  EXPECT_EQ(CheckVersion({{"version", "9.9.9"}, {"protocol", slice::kProtocolVersion}}).verdict,
            Verdict::kWarn);
  EXPECT_EQ(CheckVersion({{"version", FLEXAI_VERSION}, {"protocol", slice::kProtocolVersion + 1}})
                .verdict,
            Verdict::kFail);
  EXPECT_EQ(CheckVersion(json::object()).verdict, Verdict::kFail);
}

TEST(Doctor, TellsADeadDaemonFromAForeignOne) {
  EXPECT_EQ(CheckDaemon(Status(Code::kUnavailable, "no daemon answers")).verdict, Verdict::kWarn);
  EXPECT_EQ(CheckDaemon(Status(Code::kPermissionDenied, "socket x is owned by user y")).verdict,
            Verdict::kFail);
}

TEST(Doctor, FindsCardsAndLeftovers) {
  EXPECT_EQ(CheckCards({{"cards", json::array()}}).verdict, Verdict::kFail);
  const json card = {{"card", "0"}, {"model", "M"}, {"memory_total_bytes", 1 << 30}};
  EXPECT_EQ(CheckCards({{"cards", {card}}}).verdict, Verdict::kPass);
  json slice = {{"slice", "s-1"}, {"leader_pid", getpid()}, {"processes", json::array()}};
  EXPECT_EQ(CheckLeftovers({{"slices", {slice}}}).verdict, Verdict::kPass);
  slice["leader_pid"] = 0x3FFFFFFF;  // above the largest pid that Linux gives
  EXPECT_EQ(CheckLeftovers({{"slices", {slice}}}).verdict, Verdict::kWarn);
}

}  // namespace
}  // namespace flexai::cli
