// Trace files: what is recorded can be read back, also after kill -9, from many threads and
// processes; what is no trace is refused with a reason.
#include "flexai/intercept/trace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "flexai/intercept/toy_driver.h"
#include "flexai/intercept/trace_reader.h"

namespace flexai::intercept {
namespace {

class TraceTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/flexai_trace_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/trace";
  }
  void TearDown() override {
    const std::string command = "rm -rf " + folder_;
    ASSERT_EQ(system(command.c_str()), 0);
  }
  std::unique_ptr<TraceStage> Open(bool text = false) {
    auto stage = TraceStage::Open(toy::kLibrary, path_, text);
    EXPECT_TRUE(stage.ok()) << stage.status().ToString();
    return stage.ok() ? std::move(stage).value() : nullptr;
  }
  // One call of toyAlloc as a chassis would show it to the stage.
  static void Record(TraceStage& stage, size_t bytes, bool refuse = false) {
    toy::toy_memory memory = 1;
    toy::ToyAllocCall params{nullptr, &memory, bytes};
    const uint16_t index = toy::ToyAllocCall::kIndex;
    Call call(toy::kLibrary.functions[index], toy::kLibrary.ops[index], &params, 0);
    stage.Before(call);
    if (refuse) call.Refuse(Code::kResourceExhausted);
    stage.After(call);
  }
  std::string folder_;
  std::string path_;
};

TEST_F(TraceTest, ReadsBackWhatWasRecorded) {
  auto stage = Open(true);
  Record(*stage, 64);
  Record(*stage, 128, true);
  auto trace = ReadTrace(path_);
  ASSERT_TRUE(trace.ok()) << trace.status().ToString();
  EXPECT_EQ(trace->library, "toy");
  ASSERT_EQ(trace->functions.size(), toy::kFunctionCount);
  ASSERT_EQ(trace->calls.size(), 2u);
  const TracedCall& first = trace->calls[0];
  EXPECT_EQ(trace->functions[first.index], "toyAlloc");
  EXPECT_EQ(first.bytes, 64u);
  EXPECT_FALSE(first.failed);
  EXPECT_EQ(first.text, "toyAlloc(context=null, memory=1, size=64) = 0");
  EXPECT_EQ(first.pid, static_cast<uint32_t>(getpid()));
  EXPECT_GE(first.duration_ns, 0);
  EXPECT_GE(first.start_ns, trace->monotonic_ns);
  EXPECT_TRUE(trace->calls[1].refused);
  EXPECT_TRUE(trace->calls[1].failed);
}

TEST_F(TraceTest, SumsUpByFunction) {
  Trace trace;
  trace.functions = {"a", "b", "c"};
  for (int i = 1; i <= 100; ++i) {
    TracedCall call;
    call.index = 1;
    call.duration_ns = i;
    call.bytes = 2;
    call.failed = i == 1;
    trace.calls.push_back(call);
  }
  TracedCall one;
  one.index = 2;
  one.duration_ns = 100000;
  trace.calls.push_back(one);
  const std::vector<TraceSum> sums = SumUp(trace);
  ASSERT_EQ(sums.size(), 2u);
  EXPECT_EQ(sums[0].function, "c");
  EXPECT_EQ(sums[1].function, "b");
  EXPECT_EQ(sums[1].count, 100u);
  EXPECT_EQ(sums[1].failed, 1u);
  EXPECT_EQ(sums[1].bytes, 200u);
  EXPECT_EQ(sums[1].total_ns, 5050);
  EXPECT_EQ(sums[1].p50_ns, 50);
  EXPECT_EQ(sums[1].p99_ns, 99);
  EXPECT_EQ(sums[1].max_ns, 100);
}

TEST_F(TraceTest, ManyThreadsFillManyChunks) {
  auto stage = Open();
  constexpr int kThreads = 4;
  constexpr int kCalls = 5000;  // more than two chunks each
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) Record(*stage, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto trace = ReadTrace(path_);
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(trace->damaged_chunks, 0u);
  ASSERT_EQ(SumUp(*trace).size(), 1u);
  EXPECT_EQ(SumUp(*trace)[0].count, static_cast<uint64_t>(kThreads * kCalls));
}

TEST_F(TraceTest, SurvivesKill) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto stage = TraceStage::Open(toy::kLibrary, path_, false);
    for (int i = 0; i < 3000; ++i) Record(**stage, 1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) Record(**stage, 1);
  }
  char sign = 0;
  ASSERT_EQ(read(ready[0], &sign, 1), 1);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  auto trace = ReadTrace(path_);
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(trace->damaged_chunks, 0u);
  EXPECT_GE(trace->calls.size(), 3000u);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(TraceTest, ForkedChildWritesBesideItsParent) {
  auto stage = Open();
  Record(*stage, 1);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 10; ++i) Record(*stage, 2);
    _exit(0);
  }
  for (int i = 0; i < 10; ++i) Record(*stage, 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  auto trace = ReadTrace(path_);
  ASSERT_TRUE(trace.ok());
  EXPECT_EQ(trace->damaged_chunks, 0u);
  int ours = 0;
  int theirs = 0;
  for (const TracedCall& call : trace->calls) {
    EXPECT_EQ(call.pid, static_cast<uint32_t>(call.bytes == 2 ? child : getpid()));
    ++(call.bytes == 2 ? theirs : ours);
  }
  EXPECT_EQ(ours, 11);
  EXPECT_EQ(theirs, 10);
}

TEST_F(TraceTest, SecondWriterSharesALivingFileAndReplacesADeadOne) {
  auto first = Open();
  Record(*first, 1);
  auto second = Open();
  EXPECT_EQ(second->path(), path_);
  Record(*second, 2);
  EXPECT_EQ(ReadTrace(path_)->calls.size(), 2u);
  first.reset();
  second.reset();
  auto third = Open();
  Record(*third, 3);
  ASSERT_EQ(ReadTrace(path_)->calls.size(), 1u);
  EXPECT_EQ(ReadTrace(path_)->calls[0].bytes, 3u);
}

TEST_F(TraceTest, OtherLibrarysFileIsLeftAlone) {
  static constexpr FnInfo kOther[] = {
      {"otherCall", 7, 0, Event::kNone, WireClass::kSync, false, -1, toy::kErrors, ""}};
  const LibraryInfo other = {"other", 1, kOther, toy::kLibrary.ops, nullptr, 0};
  auto stage = Open();
  Record(*stage, 1);
  auto elsewhere = TraceStage::Open(other, path_, false);
  ASSERT_TRUE(elsewhere.ok()) << elsewhere.status().ToString();
  EXPECT_EQ((*elsewhere)->path(), path_ + "." + std::to_string(getpid()));
  EXPECT_EQ(ReadTrace(path_)->calls.size(), 1u);
}

TEST_F(TraceTest, ProcessIdStandsForPercentP) {
  auto stage = TraceStage::Open(toy::kLibrary, path_ + ".%p.bin", false);
  ASSERT_TRUE(stage.ok());
  EXPECT_EQ((*stage)->path(), path_ + "." + std::to_string(getpid()) + ".bin");
}

// Daemons close every descriptor they inherit; the file must grow all the same, and nothing else
// may be harmed.
TEST_F(TraceTest, GrowsAfterTheProgramClosedEveryDescriptor) {
  const pid_t child = fork();
  if (child == 0) {
    auto stage = TraceStage::Open(toy::kLibrary, path_, false);
    for (int fd = 3; fd < 1024; ++fd) close(fd);
    for (int i = 0; i < 5000; ++i) Record(**stage, 1);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(ReadTrace(path_)->calls.size(), 5000u);
}

TEST_F(TraceTest, SaysWhyAFileIsNoTrace) {
  EXPECT_EQ(ReadTrace(path_).status().code(), Code::kNotFound);
  std::ofstream(path_)
      << "hello, this is no trace at all, but long enough to hold the header of one, which is 88";
  EXPECT_EQ(ReadTrace(path_).status().message(), path_ + " is not a flexai trace");
  EXPECT_FALSE(TraceStage::Open(toy::kLibrary, folder_ + "/no/such/folder", false).ok());
}

TEST_F(TraceTest, OtherVersionIsRefused) {
  Open().reset();
  const int fd = open(path_.c_str(), O_RDWR);
  const uint32_t version = kTraceVersion + 1;
  ASSERT_EQ(pwrite(fd, &version, sizeof version, offsetof(TraceFileHeader, version)), 4);
  close(fd);
  const Status status = ReadTrace(path_).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.hint(), "read it with the flexai that wrote it");
}

// Each byte of a small trace is spoiled in turn: the reader must refuse, skip or read, never crash.
TEST_F(TraceTest, SurvivesSpoiledFiles) {
  auto stage = Open(true);
  Record(*stage, 64);
  stage.reset();
  std::ifstream in(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string spoiled_path = folder_ + "/spoiled";
  for (size_t at = 0; at < whole.size(); at = at == 300 ? kTraceChunkBytes : at + 1) {
    if (at > kTraceChunkBytes + 120) break;
    std::string spoiled = whole;
    spoiled[at] = static_cast<char>(spoiled[at] ^ 0xff);
    std::ofstream(spoiled_path, std::ios::binary) << spoiled;
    auto trace = ReadTrace(spoiled_path);
    if (trace.ok()) {
      EXPECT_LE(trace->calls.size(), 1u);
    }
  }
  for (size_t length = 0; length < 200; ++length) {
    std::ofstream(spoiled_path, std::ios::binary) << whole.substr(0, length);
    EXPECT_FALSE(ReadTrace(spoiled_path).ok());
  }
}

}  // namespace
}  // namespace flexai::intercept
