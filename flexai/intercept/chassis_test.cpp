// The way of a call through the chassis: order, refusal, nesting, listeners, start, and what it
// must not cost.
#include "flexai/intercept/chassis.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "flexai/base/sanitized.h"
#include "flexai/intercept/toy_driver.h"

namespace flexai::intercept {
namespace {

class TestStage : public Stage {
 public:
  explicit TestStage(std::string name) : name_(std::move(name)) {}
  const char* name() const override { return name_.c_str(); }
  FailMode fail_mode() const override { return FailMode::kOpen; }
  bool Listens(const FnInfo& info) override { return listens ? listens(info) : true; }
  bool Before(Call& call) override {
    Log().push_back(name_ + " before " + call.info().name);
    return before ? before(call) : true;
  }
  void After(Call& call) override {
    Log().push_back(name_ + " after " + call.info().name);
    if (after) after(call);
  }

  std::function<bool(const FnInfo&)> listens;
  std::function<bool(Call&)> before;
  std::function<void(Call&)> after;

 private:
  std::string name_;
};

// A chassis is constant-initialised in a library; here it is a template argument, so each test has
// its own.
template <int kTest>
ToyChassis g_chassis(toy::kLibrary, nullptr);

template <auto& kChassis, class C, int kDoor = 0, class... A>
auto Enter(A... args) {
  return Entry<C, kChassis, kDoor>::Invoke(args...);
}

class ChassisTest : public testing::Test {
 protected:
  void SetUp() override {
    Log().clear();
    g_toy_callback = nullptr;
  }
  void Open(Chassis& chassis, int door = 0, DoorLevel level = DoorLevel::kOuter) {
    chassis.SetForwarder(door, level, toy::AsTable(driver_));
  }
  toy::Real driver_ = ToyDriver();
  toy::toy_memory memory_ = 0;
};

using Lines = std::vector<std::string>;

TEST_F(ChassisTest, VisitsStagesInOrderAndBackwards) {
  auto& chassis = g_chassis<1>;
  Open(chassis);
  TestStage a("a");
  TestStage b("b");
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  ASSERT_TRUE(chassis.AddStage(&b).ok());
  EXPECT_EQ((Enter<g_chassis<1>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64})), toy::TOY_OK);
  EXPECT_EQ(memory_, 0x1000u);
  EXPECT_EQ(Log(), (Lines{"a before toyAlloc", "b before toyAlloc", "driver alloc",
                          "b after toyAlloc", "a after toyAlloc"}));
}

TEST_F(ChassisTest, RefusalSkipsTheDriverAndGivesTheVendorsCode) {
  auto& chassis = g_chassis<2>;
  Open(chassis);
  TestStage a("a");
  TestStage b("b");
  TestStage c("c");
  b.before = [](Call& call) {
    call.Refuse(Code::kResourceExhausted);
    return false;
  };
  a.after = [](Call& call) {
    EXPECT_TRUE(call.refused());
    EXPECT_FALSE(call.ok());
    EXPECT_EQ(call.created(), 0u);
  };
  for (TestStage* stage : {&a, &b, &c}) ASSERT_TRUE(chassis.AddStage(stage).ok());
  EXPECT_EQ((Enter<g_chassis<2>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64})),
            toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(memory_, 0u);
  EXPECT_EQ(Log(), (Lines{"a before toyAlloc", "b before toyAlloc", "a after toyAlloc"}));
}

TEST_F(ChassisTest, WhoNeedsNoAfterGetsNone) {
  auto& chassis = g_chassis<14>;
  Open(chassis);
  TestStage a("a");
  TestStage b("b");
  b.before = [](Call& call) {
    call.SkipAfter();
    return true;
  };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  ASSERT_TRUE(chassis.AddStage(&b).ok());
  EXPECT_EQ((Enter<g_chassis<14>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64})), toy::TOY_OK);
  EXPECT_EQ(Log(),
            (Lines{"a before toyAlloc", "b before toyAlloc", "driver alloc", "a after toyAlloc"}));
}

TEST_F(ChassisTest, RefusedCreationReturnsNullAndSetsTheErrorParameter) {
  auto& chassis = g_chassis<3>;
  Open(chassis);
  TestStage a("a");
  a.before = [](Call& call) {
    call.Refuse(Code::kDataLoss);  // not in [library.errors]: becomes `internal`
    return false;
  };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  toy::toy_status error = 7;
  EXPECT_EQ((Enter<g_chassis<3>, toy::ToyCreateContextCall>(nullptr, nullptr, nullptr, &error)),
            nullptr);
  EXPECT_EQ(error, toy::TOY_ERROR_OTHER);
  EXPECT_EQ((Enter<g_chassis<3>, toy::ToyCreateContextCall>(nullptr, nullptr, nullptr, nullptr)),
            nullptr);
}

TEST_F(ChassisTest, AnsweredCallSkipsTheDriverAndCountsAsDone) {
  auto& chassis = g_chassis<4>;
  Open(chassis);
  TestStage a("a");
  a.before = [](Call& call) {
    *call.As<toy::ToyAllocCall>().memory = 5;
    call.Answer();
    return true;
  };
  a.after = [](Call& call) { EXPECT_EQ(call.created(), 5u); };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  EXPECT_EQ((Enter<g_chassis<4>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64})), toy::TOY_OK);
  EXPECT_EQ(Log(), (Lines{"a before toyAlloc", "a after toyAlloc"}));
}

TEST_F(ChassisTest, CallsOfAStageGoStraightToTheDriver) {
  auto& chassis = g_chassis<5>;
  Open(chassis);
  TestStage a("a");
  a.before = [&](Call& call) {
    if (call.info().event == Event::kMemoryAlloc) {
      Enter<g_chassis<5>, toy::ToyFreeCall>(toy::toy_memory{1});
    }
    return true;
  };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  Enter<g_chassis<5>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64});
  EXPECT_EQ(Log(), (Lines{"a before toyAlloc", "driver free", "driver alloc", "a after toyAlloc"}));
  Log().clear();
  {
    OwnCalls own;
    Enter<g_chassis<5>, toy::ToyFreeCall>(toy::toy_memory{1});
  }
  EXPECT_EQ(Log(), (Lines{"driver free"}));
  EXPECT_EQ(t_inside, Inside::kNothing);
}

// loader (outer door 0) -> driver's patched table (inner door 1): one call, seen once.
TEST_F(ChassisTest, InnerDoorIsStraightInsideAnOuterCall) {
  auto& chassis = g_chassis<6>;
  Open(chassis, 1, DoorLevel::kInner);
  toy::Real loader;
  loader.toyFree = [](toy::toy_memory memory) {
    return Enter<g_chassis<6>, toy::ToyFreeCall, 1>(memory);
  };
  chassis.SetForwarder(0, DoorLevel::kOuter, toy::AsTable(loader));
  TestStage a("a");
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  Enter<g_chassis<6>, toy::ToyFreeCall, 0>(toy::toy_memory{1});
  EXPECT_EQ(Log(), (Lines{"a before toyFree", "driver free", "a after toyFree"}));
  Log().clear();
  Enter<g_chassis<6>, toy::ToyFreeCall, 1>(toy::toy_memory{1});
  EXPECT_EQ(Log(), (Lines{"a before toyFree", "driver free", "a after toyFree"}));
}

// An application's callback that runs inside a call is no part of it: what it allocates is charged.
TEST_F(ChassisTest, CallbackAtAnOuterDoorIsACallOfItsOwn) {
  auto& chassis = g_chassis<7>;
  Open(chassis);
  TestStage a("a");
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  g_toy_callback = [] { Enter<g_chassis<7>, toy::ToyFreeCall>(toy::toy_memory{1}); };
  Enter<g_chassis<7>, toy::ToySyncCall>(nullptr);
  EXPECT_EQ(Log(), (Lines{"a before toySync", "driver sync", "a before toyFree", "driver free",
                          "a after toyFree", "a after toySync"}));
}

TEST_F(ChassisTest, OnlyListenersAreVisitedAndStagesSwitch) {
  auto& chassis = g_chassis<8>;
  Open(chassis);
  TestStage a("a");
  a.listens = [](const FnInfo& info) { return info.event == Event::kMemoryAlloc; };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  chassis.Start();
  EXPECT_NE(chassis.State(toy::ToyAllocCall::kIndex), ToyChassis::kStarted);
  EXPECT_EQ(chassis.State(toy::ToyFreeCall::kIndex), ToyChassis::kStarted);
  EXPECT_TRUE(chassis.IsHeard(toy::ToyAllocCall::kIndex));
  EXPECT_FALSE(chassis.IsHeard(toy::ToyFreeCall::kIndex));
  Enter<g_chassis<8>, toy::ToyFreeCall>(toy::toy_memory{1});
  EXPECT_EQ(Log(), (Lines{"driver free"}));
  chassis.Enable(&a, false);
  EXPECT_EQ(chassis.State(toy::ToyAllocCall::kIndex), ToyChassis::kStarted);
  EXPECT_TRUE(chassis.IsHeard(toy::ToyAllocCall::kIndex)) << "it may be switched on again";
  Enter<g_chassis<8>, toy::ToyAllocCall>(nullptr, &memory_, size_t{64});
  EXPECT_EQ(Log(), (Lines{"driver free", "driver alloc"}));
  chassis.Enable(&a, true);
  EXPECT_NE(chassis.State(toy::ToyAllocCall::kIndex), ToyChassis::kStarted);
}

// One that has a short way for launches.
class ShortStage : public TestStage {
 public:
  using TestStage::TestStage;
  ShortWay ShortWayOf(const FnInfo& info) const override {
    return info.event == Event::kLaunch ? &Take : nullptr;
  }
  bool takes = true;

 private:
  static bool Take(Stage& self, uint16_t index, uint64_t queue, uint64_t handle) {
    EXPECT_EQ(index, toy::ToyLaunchCall::kIndex);
    EXPECT_EQ(handle, queue);  // of the toy's launches
    Log().push_back("short " + std::to_string(queue));
    return static_cast<ShortStage&>(self).takes;
  }
};

template <int kTest>
void LaunchTo(uint64_t queue) {
  Log().clear();
  const auto launch = &Enter<g_chassis<kTest>, toy::ToyLaunchCall, 0, toy::toy_module,
                             const toy::toy_grid*, toy::toy_u32*>;
  EXPECT_EQ(launch(reinterpret_cast<toy::toy_module>(queue), nullptr, nullptr), toy::TOY_OK);
}

TEST_F(ChassisTest, ShortWayNeedsNeitherBeforeNorAfter) {
  auto& chassis = g_chassis<18>;
  driver_.toyLaunch = [](toy::toy_module, const toy::toy_grid*, toy::toy_u32*) {
    Log().push_back("driver launch");
    return toy::toy_status{toy::TOY_OK};
  };
  Open(chassis);
  ShortStage a("a");
  TestStage b("b");
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  ASSERT_TRUE(chassis.AddStage(&b).ok());
  chassis.Start();
  const Lines both = {"a before toyLaunch", "b before toyLaunch", "driver launch",
                      "b after toyLaunch", "a after toyLaunch"};
  LaunchTo<18>(64);
  EXPECT_EQ(Log(), both) << "another stage listens";
  chassis.Enable(&b, false);
  LaunchTo<18>(64);
  EXPECT_EQ(Log(), (Lines{"short 64", "driver launch"}));
  a.takes = false;
  LaunchTo<18>(65);
  EXPECT_EQ(Log(), (Lines{"short 65", "a before toyLaunch", "driver launch", "a after toyLaunch"}));
  {
    const OwnCalls own;
    LaunchTo<18>(66);
    EXPECT_EQ(Log(), (Lines{"driver launch"}));
  }
  Open(chassis, 1, DoorLevel::kInner);
  LaunchTo<18>(67);
  EXPECT_EQ(Log(), (Lines{"a before toyLaunch", "driver launch", "a after toyLaunch"}))
      << "the inner door must know that an outer one saw the call";
}

TEST_F(ChassisTest, MissingFunctionIsRefusedWithItsRowsOwnCode) {
  auto& chassis = g_chassis<9>;
  Open(chassis);
  EXPECT_EQ((Enter<g_chassis<9>, toy::ToyListCardsCall>(0u, nullptr, nullptr)),
            toy::TOY_ERROR_NO_CARD);
  EXPECT_EQ((Enter<g_chassis<9>, toy::ToyLaunchCall>(nullptr, nullptr, nullptr)),
            toy::TOY_ERROR_UNSUPPORTED);
}

TEST_F(ChassisTest, CallTellsWhatItAsksForMakesAndGivesUp) {
  auto& chassis = g_chassis<10>;
  Open(chassis);
  TestStage a("a");
  char line[160];
  a.after = [&](Call& call) {
    if (call.info().event == Event::kMemoryAlloc) {
      EXPECT_EQ(call.charge(), 4096u);
      EXPECT_EQ(call.handle(), 0x55u);
      EXPECT_EQ(call.created(), 0x1000u);
      EXPECT_EQ(call.dropped(), 0u);
    }
    if (call.info().event == Event::kMemoryFree) {
      EXPECT_EQ(call.dropped(), 0x1000u);
      EXPECT_EQ(call.charge(), 0u);
    }
    if (call.info().event == Event::kContextCreate) {
      EXPECT_EQ(call.created(), 0x77u);
    }
    call.Print(line, sizeof line);
  };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  Enter<g_chassis<10>, toy::ToyAllocCall>(reinterpret_cast<toy::toy_context>(0x55), &memory_,
                                          size_t{4096});
  EXPECT_STREQ(line, "toyAlloc(context=0x55, memory=4096, size=4096) = 0");
  Enter<g_chassis<10>, toy::ToyFreeCall>(toy::toy_memory{0x1000});
  EXPECT_STREQ(line, "toyFree(memory=0x1000) = 0");
  Enter<g_chassis<10>, toy::ToyCreateContextCall>(nullptr, nullptr, nullptr, nullptr);
}

TEST_F(ChassisTest, KeepsErrnoOfTheDriver) {
  auto& chassis = g_chassis<11>;
  driver_.toySync = [](toy::toy_context) { errno = EXDEV; };
  Open(chassis);
  TestStage a("a");
  a.before = [](Call&) {
    errno = EBADF;
    return true;
  };
  a.after = [](Call&) { errno = EBADF; };
  ASSERT_TRUE(chassis.AddStage(&a).ok());
  errno = 0;
  Enter<g_chassis<11>, toy::ToySyncCall>(nullptr);
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(ChassisTest, RefusesMoreStagesThanItHoldsAndLateOnes) {
  ToyChassis chassis(toy::kLibrary, nullptr);
  TestStage stage("a");
  for (int i = 0; i < kMaxStages; ++i) ASSERT_TRUE(chassis.AddStage(&stage).ok());
  EXPECT_EQ(chassis.AddStage(&stage).code(), Code::kResourceExhausted);
  ToyChassis late(toy::kLibrary, nullptr);
  late.Start();
  EXPECT_EQ(late.AddStage(&stage).code(), Code::kFailedPrecondition);
}

std::atomic<int> g_starts{0};
TestStage g_start_stage("s");
void StartOnce(Chassis& chassis);
ToyChassis g_starting(toy::kLibrary, &StartOnce);
void StartOnce(Chassis& chassis) {
  ++g_starts;
  g_start_stage.before = [](Call&) { return true; };
  // What start asks of the driver must neither wait for start nor reach a stage.
  Enter<g_starting, toy::ToyVersionEXTCall>();
  EXPECT_TRUE(chassis.AddStage(&g_start_stage).ok());
}

TEST_F(ChassisTest, StartsOnceHoweverManyThreadsComeFirst) {
  Open(g_starting);
  g_start_stage.listens = [](const FnInfo& info) { return info.event == Event::kLaunch; };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 100; ++n) {
        EXPECT_EQ((Enter<g_starting, toy::ToyVersionEXTCall>()), 42u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(g_starts, 1);
  EXPECT_NE(g_starting.State(toy::ToyLaunchCall::kIndex), ToyChassis::kStarted);
}

// The stage counts in plain memory, as the slice does.
class CountingStage : public Stage {
 public:
  const char* name() const override { return "counting"; }
  FailMode fail_mode() const override { return FailMode::kClosed; }
  bool Listens(const FnInfo&) override { return true; }
  bool Before(Call& call) override {
    bytes += call.charge();
    return true;
  }
  void After(Call& call) override { failures += call.ok() ? 0 : 1; }
  uint64_t bytes = 0;
  uint64_t failures = 0;
};

constexpr int kManyCalls = 10000;

// In strict seccomp the kernel kills a process at any system call but read, write and exit: what
// comes through here has made none, so it took no contended lock and grew no heap either.
TEST_F(ChassisTest, MakesNoSystemCallOnTheWayOfACall) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer makes system calls of its own";
  auto& chassis = g_chassis<12>;
  driver_.toyFree = [](toy::toy_memory) -> toy::toy_status { return toy::TOY_OK; };
  Open(chassis);
  CountingStage stage;
  ASSERT_TRUE(chassis.AddStage(&stage).ok());
  chassis.Start();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit, 2);
    for (int i = 0; i < kManyCalls; ++i) Enter<g_chassis<12>, toy::ToyFreeCall>(toy::toy_memory{1});
    syscall(SYS_exit, stage.failures == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

std::atomic<uint64_t> g_allocations{0};

TEST_F(ChassisTest, AllocatesNothingOnTheWayOfACall) {
  auto& chassis = g_chassis<13>;
  driver_.toyFree = [](toy::toy_memory) -> toy::toy_status { return toy::TOY_OK; };
  Open(chassis);
  CountingStage stage;
  ASSERT_TRUE(chassis.AddStage(&stage).ok());
  chassis.Start();
  const uint64_t before = g_allocations;
  std::string proof(100, 'x');  // the counter counts
  ASSERT_GT(g_allocations, before);
  const uint64_t then = g_allocations;
  for (int i = 0; i < kManyCalls; ++i) Enter<g_chassis<13>, toy::ToyFreeCall>(toy::toy_memory{1});
  EXPECT_EQ(g_allocations, then);
}

}  // namespace
}  // namespace flexai::intercept

// Counted at operator new; the system call test above sees what goes round it.
// Not inlined: the compiler would see malloc and free through them and call the pairs mismatched.
__attribute__((noinline)) void* operator new(size_t bytes) {
  ++flexai::intercept::g_allocations;
  if (void* memory = malloc(bytes ? bytes : 1)) return memory;
  abort();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { free(memory); }
