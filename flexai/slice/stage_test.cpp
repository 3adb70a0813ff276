// The slice on the way of calls of the made-up library toy: what is refused, what is charged, when
// a launch waits, and what a launch must not cost.
#include "flexai/slice/stage.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "flexai/base/sanitized.h"
#include "flexai/intercept/toy_driver.h"
#include "flexai/slice/pretend_daemon_test.h"

// Counted in every object of this program: the linker leads these names here (--wrap).
namespace {
thread_local uint64_t t_allocations = 0;
thread_local uint64_t t_locks = 0;
}  // namespace
#define FLEXAI_COUNTED(counter, result, name, parameters, arguments) \
  extern "C" result __real_##name parameters;                        \
  extern "C" result __wrap_##name parameters;                        \
  extern "C" result __wrap_##name parameters {                       \
    ++counter;                                                       \
    return __real_##name arguments;                                  \
  }
FLEXAI_COUNTED(t_allocations, void*, malloc, (size_t bytes), (bytes))
FLEXAI_COUNTED(t_allocations, void*, calloc, (size_t count, size_t bytes), (count, bytes))
FLEXAI_COUNTED(t_allocations, void*, realloc, (void* at, size_t bytes), (at, bytes))
FLEXAI_COUNTED(t_locks, int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
FLEXAI_COUNTED(t_locks, int, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
FLEXAI_COUNTED(t_locks, int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
FLEXAI_COUNTED(t_locks, int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))

// Not inlined: the compiler would see malloc and free through them and call the pairs mismatched.
__attribute__((noinline)) void* operator new(size_t bytes) {
  ++t_allocations;
  if (void* memory = __real_malloc(bytes ? bytes : 1)) return memory;
  abort();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { free(memory); }

namespace flexai::slice {
namespace {

namespace toy = intercept::toy;
using intercept::Call;

constexpr uint64_t kLimit = 1000;
constexpr int kManyLaunches = 6400;

class ToyRules : public Rules {
 public:
  bool Asks(Call& call, uint64_t* bytes) override {
    *bytes = call.info().index == toy::ToyLaunchCall::kIndex ? launch_takes : call.charge();
    return *bytes > 0;
  }
  void Launched(Call&) override { ++launched; }
  bool Recover(Ledger& ledger) override {
    ledger.Release(in_reserve);
    return std::exchange(in_reserve, 0) > 0;
  }
  uint64_t Held(Call&, uint64_t asked) override { return asked + rounding; }
  void Keep(Call& call, uint64_t bytes, Ledger&) override { kept[call.created()] = bytes; }
  void Undo(Call&) override { ++undone; }
  void Drop(Call& call, Ledger& ledger) override {
    ledger.Release(kept[call.dropped()]);
    kept.erase(call.dropped());
  }
  void BeforeStart(Call&) override {}
  void AfterStart(Call&) override {}
  void Answer(Call&, const Ledger&) override {}
  bool LaunchesShort(uint16_t index, uint64_t, uint64_t*) const {
    EXPECT_EQ(index, toy::ToyLaunchCall::kIndex);
    return launches_short;
  }

  bool launches_short = true;
  uint64_t launch_takes = 0;
  int launched = 0;
  uint64_t rounding = 0;
  int undone = 0;
  uint64_t in_reserve = 0;
  std::map<uint64_t, uint64_t> kept;
};

// A chassis is constant-initialised in a library; here each test has its own.
template <int kTest>
intercept::ToyChassis g_chassis(toy::kLibrary, nullptr);

std::atomic<int> g_driver_launches{0};

// Never freed, and never looked for: the agent's thread and the chassis keep pointers to them.
template <class T>
T& Keep(T* made) {
  static auto& kept = *new std::vector<void*>();
  kept.push_back(made);
  return *made;
}

class StageTest : public testing::Test {
 protected:
  void SetUp() override {
    intercept::Log().clear();
    g_driver_launches = 0;
    driver_.toyLaunch = [](toy::toy_module, const toy::toy_grid*, toy::toy_u32*) {
      g_driver_launches.fetch_add(1, std::memory_order_relaxed);
      return toy::toy_status{toy::TOY_OK};
    };
  }

  template <auto& kChassis>
  void Start() {
    ASSERT_TRUE(tenant_.Attach().ok());
    StartUnattached<kChassis>();
  }
  template <auto& kChassis>
  void StartUnattached() {
    kChassis.SetForwarder(0, intercept::DoorLevel::kOuter, toy::AsTable(driver_));
    ASSERT_TRUE(kChassis.AddStage(&stage_).ok());
    kChassis.Start();
    alloc_ = [this](size_t bytes) {
      return intercept::Entry<toy::ToyAllocCall, kChassis, 0>::Invoke(nullptr, &memory_, bytes);
    };
    free_ = [this] { return intercept::Entry<toy::ToyFreeCall, kChassis, 0>::Invoke(memory_); };
  }
  template <auto& kChassis>
  static toy::toy_status Launch() {
    return intercept::Entry<toy::ToyLaunchCall, kChassis, 0>::Invoke(nullptr, nullptr, nullptr);
  }
  // A launch on another thread meets a closed gate; after `open` it has gone through, not before.
  template <auto& kChassis>
  void ExpectLaunchWaitsFor(const std::function<void()>& open) {
    std::atomic<bool> begun{false};
    std::thread launcher([&] {
      begun = true;
      Launch<kChassis>();
    });
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // it could have gone through by now
    EXPECT_EQ(g_driver_launches, 0);
    open();
    launcher.join();
    EXPECT_EQ(g_driver_launches, 1);
  }

  PretendDaemon daemon_{kLimit};
  GateLever& gate_ = Keep(new GateLever());
  Tenant& tenant_ = Keep(new Tenant(&gate_));
  ToyRules& rules_ = Keep(new ToyRules());
  QueueWatch& queues_ = Keep(new QueueWatch());
  SliceStage& stage_ = Keep(new ShortSliceStage<ToyRules>(&tenant_, &rules_, &gate_, &queues_));
  toy::Real& driver_ = Keep(new toy::Real(intercept::ToyDriver()));
  toy::toy_memory memory_ = 0;
  std::function<toy::toy_status(size_t)> alloc_;
  std::function<toy::toy_status()> free_;
};

using Lines = std::vector<std::string>;

TEST_F(StageTest, RefusesPastTheLimitBeforeTheDriver) {
  Start<g_chassis<1>>();
  EXPECT_EQ(alloc_(kLimit + 1), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(intercept::Log(), Lines{});
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
  EXPECT_EQ(daemon_.region().slots[0].refused, 1u);
  EXPECT_EQ(alloc_(kLimit), toy::TOY_OK);
  EXPECT_EQ(alloc_(1), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(free_(), toy::TOY_OK);
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
  EXPECT_EQ(intercept::Log(), (Lines{"driver alloc", "driver free"}));
}

TEST_F(StageTest, ChargesWhatTheObjectHolds) {
  Start<g_chassis<2>>();
  rules_.rounding = 24;
  EXPECT_EQ(alloc_(1000 - 24), toy::TOY_OK);
  EXPECT_EQ(tenant_.ledger()->used(), kLimit);
  EXPECT_EQ(free_(), toy::TOY_OK);
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
}

TEST_F(StageTest, UndoesWhatTurnsOutTooLarge) {
  Start<g_chassis<3>>();
  rules_.rounding = 24;
  EXPECT_EQ(alloc_(1000 - 23), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(rules_.undone, 1);
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
}

TEST_F(StageTest, ALaunchThatTakesTooMuchIsRefused) {
  Start<g_chassis<30>>();
  rules_.launches_short = false;
  EXPECT_EQ(Launch<g_chassis<30>>(), toy::TOY_OK);
  EXPECT_EQ(rules_.launched, 0) << "nobody wants to know";
  rules_.launch_takes = kLimit + 1;
  EXPECT_NE(Launch<g_chassis<30>>(), toy::TOY_OK);
  EXPECT_EQ(rules_.launched, 1);
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
  rules_.launch_takes = kLimit;
  EXPECT_EQ(Launch<g_chassis<30>>(), toy::TOY_OK);
  EXPECT_EQ(rules_.launched, 2);
  EXPECT_EQ(tenant_.ledger()->used(), kLimit);
  EXPECT_EQ(g_driver_launches, 2);
}

// The driver kept memory that was freed, the books were compared then, and the next allocation got
// it: it counts twice until the next comparison.
TEST_F(StageTest, OldFiguresRefuseNobody) {
  Start<g_chassis<13>>();
  daemon_.region().header.context_bytes = 100;
  daemon_.region().slots[0].booked = 400;
  daemon_.BookWhenCompared(100);
  EXPECT_EQ(alloc_(900), toy::TOY_OK);
  EXPECT_EQ(tenant_.ledger()->used(), 1000u);
  EXPECT_EQ(free_(), toy::TOY_OK);
  // What is really held is, and asked for once only.
  daemon_.BookWhenCompared(400);
  daemon_.region().slots[0].booked = 400;
  const int before = daemon_.compared();
  EXPECT_EQ(alloc_(900), toy::TOY_ERROR_MEMORY);
  const int after = daemon_.compared();
  EXPECT_GT(after, before);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(alloc_(900), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(daemon_.compared(), after);
}

// As much is in the books as when somebody was refused last, but other figures make it up.
TEST_F(StageTest, TheSameSumOfOtherFiguresIsComparedAgain) {
  Start<g_chassis<14>>();
  daemon_.region().header.context_bytes = 100;
  daemon_.region().slots[0].booked = 400;
  daemon_.BookWhenCompared(400);
  EXPECT_EQ(alloc_(900), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(alloc_(200), toy::TOY_OK);
  daemon_.region().slots[0].booked = 200;
  daemon_.BookWhenCompared(100);
  EXPECT_EQ(tenant_.ledger()->used(), 400u);
  EXPECT_EQ(alloc_(650), toy::TOY_OK);
}

// The driver took something that nobody asked for, in this process or another of the tenant's.
TEST_F(StageTest, WhatWasUnforeseenIsComparedBeforeTheLastIsGiven) {
  Start<g_chassis<18>>();
  ProcessSlot* slots = daemon_.region().slots;
  daemon_.region().header.context_bytes = 100;
  daemon_.BookWhenCompared(300);
  EXPECT_EQ(alloc_(100), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 0);
  tenant_.ledger()->TookUnforeseen();
  EXPECT_EQ(alloc_(500), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 1);
  EXPECT_EQ(slots[0].compared, slots[0].unforeseen);
  EXPECT_EQ(tenant_.ledger()->used(), 900u);
  EXPECT_EQ(alloc_(10), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 1);
  daemon_.region().header.slots_used = 2;
  ++slots[1].unforeseen;
  daemon_.BookWhenCompared(380);
  EXPECT_EQ(alloc_(50), toy::TOY_ERROR_MEMORY);
}

TEST_F(StageTest, WhatWasRecoveredIsNotGivenUncompared) {
  Start<g_chassis<22>>();
  daemon_.BookWhenCompared(300);
  ASSERT_TRUE(tenant_.ledger()->Reserve(800).ok());
  tenant_.ledger()->TookUnforeseen();
  rules_.in_reserve = 800;
  EXPECT_EQ(alloc_(750), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(alloc_(700), toy::TOY_OK);
}

// Its books moved, or the daemon does not know it: nobody waits for that at each allocation.
TEST_F(StageTest, WhoIsLeftOutOfAComparisonIsAskedAboutLater) {
  Start<g_chassis<21>>();
  daemon_.BookWhenCompared(10);
  daemon_.region().header.slots_used = 2;
  ++daemon_.region().slots[1].unforeseen;
  EXPECT_EQ(alloc_(100), toy::TOY_OK);
  const int compared = daemon_.compared();
  EXPECT_GT(compared, 1);
  constexpr int kMore = 500;
  for (int i = 0; i < kMore; ++i) EXPECT_EQ(alloc_(1), toy::TOY_OK);
  EXPECT_LT(daemon_.compared(), kMore);
}

TEST_F(StageTest, WithoutADaemonNobodyWaitsForAComparison) {
  Start<g_chassis<20>>();
  daemon_.BookWhenCompared(300);
  tenant_.ledger()->TookUnforeseen();
  daemon_.region().header.heartbeat = 0;
  EXPECT_EQ(alloc_(100), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 0);
  daemon_.ComeBack();
  EXPECT_EQ(alloc_(700), toy::TOY_ERROR_MEMORY);
  EXPECT_GT(daemon_.compared(), 0);
}

TEST_F(StageTest, FarFromTheLimitNothingIsCompared) {
  Start<g_chassis<19>>();
  daemon_.BookWhenCompared(0);
  daemon_.region().header.memory_limit = 2 * Ledger::kNear;
  tenant_.ledger()->TookUnforeseen();
  EXPECT_EQ(alloc_(Ledger::kNear), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 0);
  EXPECT_EQ(alloc_(1), toy::TOY_OK);
  EXPECT_EQ(daemon_.compared(), 1);
}

// Of two libraries of a process one has the booking in its slot; what the other expected counts no
// longer once it was compared, though that one asks for nothing.
TEST_F(StageTest, WhatWasExpectedIsSettledWithoutAnAllocation) {
  Start<g_chassis<16>>();
  ProcessSlot& slot = daemon_.region().slots[0];
  tenant_.ledger()->Advance(100);
  EXPECT_EQ(slot.advance, 100u);
  slot.measures += 2;
  for (int waited = 0; waited < 5000 && slot.advance != 0; ++waited) usleep(1000);  // poll
  EXPECT_EQ(slot.advance, 0u);
}

TEST_F(StageTest, GivesBackWhatTheDriverRefused) {
  driver_.toyAlloc = [](toy::toy_context, toy::toy_memory*, size_t) {
    return toy::toy_status{toy::TOY_ERROR_OTHER};
  };
  Start<g_chassis<4>>();
  EXPECT_EQ(alloc_(500), toy::TOY_ERROR_OTHER);
  EXPECT_EQ(tenant_.ledger()->used(), 0u);
  EXPECT_TRUE(rules_.kept.empty());
}

TEST_F(StageTest, NoAllocationPassesWithoutARegion) {
  StartUnattached<g_chassis<5>>();
  setenv("FLEXAI_SLICE", "not a slice", 1);
  EXPECT_EQ(alloc_(1), toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(intercept::Log(), Lines{});
  // As soon as there is one, it is found.
  setenv("FLEXAI_SLICE", WriteSliceVariable("s-pretend", {}, getpid()).c_str(), 1);
  EXPECT_EQ(alloc_(1), toy::TOY_OK);
}

TEST_F(StageTest, ADaemonsRefusalIsToldAndHolds) {
  PretendDaemon unwilling(kLimit, Status(Code::kPermissionDenied, "not yours"));
  StartUnattached<g_chassis<6>>();
  EXPECT_EQ(alloc_(1), toy::TOY_ERROR_MEMORY);
  const Status attached = tenant_.Attach();
  EXPECT_EQ(attached.code(), Code::kPermissionDenied);
  EXPECT_EQ(attached.message(), "not yours");
}

TEST_F(StageTest, CountsLaunchesInTheSlot) {
  Start<g_chassis<7>>();
  for (int i = 0; i < kManyLaunches; ++i) Launch<g_chassis<7>>();
  EXPECT_EQ(daemon_.region().slots[0].launches, static_cast<uint64_t>(kManyLaunches));
  EXPECT_EQ(g_driver_launches, kManyLaunches);
}

TEST_F(StageTest, CountsThoseTheRulesWantToSee) {
  Start<g_chassis<15>>();
  rules_.launches_short = false;
  for (int i = 0; i < kManyLaunches; ++i) Launch<g_chassis<15>>();
  EXPECT_EQ(daemon_.region().slots[0].launches, static_cast<uint64_t>(kManyLaunches));
  EXPECT_EQ(g_driver_launches, kManyLaunches);
}

TEST_F(StageTest, LaunchWaitsWhileTheGateIsClosed) {
  StartUnattached<g_chassis<8>>();
  gate_.Hold(/*handed_over=*/false);
  ExpectLaunchWaitsFor<g_chassis<8>>([&] { gate_.Release(); });
}

// Polls for what the agent's thread does in its own time.
bool Await(const std::function<bool()>& happened) {
  const Nanos deadline = MonotonicNow() + 20 * kSecond;
  while (!happened()) {
    if (MonotonicNow() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST_F(StageTest, AgentHoldsAndReleasesOnTheDaemonsWord) {
  Start<g_chassis<9>>();
  std::atomic<uint32_t>& gate = daemon_.region().header.gate;
  const auto tell = [&](uint32_t word) {
    gate = word;
    FutexWake(gate);
    EXPECT_TRUE(Await([&] { return daemon_.region().slots[0].obeyed == word; }));
  };
  tell(2 | kGateHeld);
  EXPECT_GT(daemon_.region().slots[0].turned_at, 0);
  ExpectLaunchWaitsFor<g_chassis<9>>([&] { tell(4); });
}

TEST_F(StageTest, KeepsToItsLimitByItsOwnClockWithoutADaemon) {
  Start<g_chassis<10>>();
  RegionHeader& header = daemon_.region().header;
  header.window_period = 50 * kMillisecond;
  header.window_length = 0;  // never
  daemon_.Die();
  // It looks for a successor once it has begun to hold by itself.
  ASSERT_TRUE(Await([&] { return daemon_.attached() == 2; }));
  ExpectLaunchWaitsFor<g_chassis<10>>([&] { header.window_length = 50 * kMillisecond; });
  daemon_.ComeBack();
  header.gate = 8;
  EXPECT_TRUE(Await([&] { return daemon_.region().slots[0].obeyed == 8; }));
}

TEST_F(StageTest, LaunchMakesNoSystemCall) {
  Start<g_chassis<11>>();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit, 2);
    for (int i = 0; i < kManyLaunches; ++i) Launch<g_chassis<11>>();
    syscall(SYS_exit, g_driver_launches == kManyLaunches ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // They went through the slice: the child shares the region.
  EXPECT_EQ(daemon_.region().slots[0].launches, static_cast<uint64_t>(kManyLaunches));
}

TEST_F(StageTest, LaunchTakesNoLockAndNoMemory) {
  if (kSanitized) {
    GTEST_SKIP() << "sanitizers put themselves in front of the functions counted here";
  }
  Start<g_chassis<12>>();
  const uint64_t allocations = t_allocations;
  const uint64_t locks = t_locks;
  for (int i = 0; i < kManyLaunches; ++i) Launch<g_chassis<12>>();
  EXPECT_EQ(t_allocations, allocations);
  EXPECT_EQ(t_locks, locks);
  // The counters count: an allocation through the same stage takes the ledger's lock.
  ASSERT_EQ(alloc_(1), toy::TOY_OK);
  EXPECT_GT(t_locks, locks);
  EXPECT_GT(t_allocations, allocations);
  const uint64_t then = t_allocations;
  void* volatile kept_by_the_compiler = malloc(1);
  free(kept_by_the_compiler);
  EXPECT_EQ(t_allocations, then + 1);
}

}  // namespace
}  // namespace flexai::slice
