// What a call costs on the made-up library toy, whose driver does nothing: by itself, through the
// chassis, through the slice, and recorded. The difference of two lines is the price of what lies
// between them; compare lines of one run only.
#include <benchmark/benchmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "flexai/intercept/toy_driver.h"
#include "flexai/intercept/trace.h"
#include "flexai/slice/pretend_daemon_test.h"
#include "flexai/slice/queue_watch.h"
#include "flexai/slice/stage.h"

namespace flexai {
namespace {

namespace toy = intercept::toy;

// A trace grows its file as it goes: so many calls and no more.
constexpr int kTracedCalls = 500'000;

toy::toy_status DriverLaunch(toy::toy_module, const toy::toy_grid*, toy::toy_u32*) {
  benchmark::ClobberMemory();  // does nothing, but is there
  return toy::TOY_OK;
}

class ToyRules : public slice::Rules {
 public:
  explicit ToyRules(slice::QueueWatch* queues) : queues_(queues) {}
  bool Asks(intercept::Call& call, uint64_t* bytes) override {
    *bytes = call.charge();
    return *bytes > 0;
  }
  uint64_t Held(intercept::Call&, uint64_t asked) override { return asked; }
  void Keep(intercept::Call&, uint64_t bytes, slice::Ledger&) override { held_ = bytes; }
  void Undo(intercept::Call&) override {}
  void Drop(intercept::Call&, slice::Ledger& ledger) override { ledger.Release(held_); }
  void BeforeStart(intercept::Call&) override {}
  void AfterStart(intercept::Call&) override {}
  void Answer(intercept::Call&, const slice::Ledger&) override {}
  bool Launches(intercept::Call& call) override { return !queues_->Launched(call.queue()); }
  bool LaunchesShort(uint16_t, uint64_t, uint64_t*) const { return true; }

 private:
  slice::QueueWatch* queues_;
  uint64_t held_ = 0;
};

template <int kWhich>
intercept::ToyChassis g_chassis(toy::kLibrary, nullptr);
enum { kEmpty, kSliced, kTraced, kBoth };

template <int kWhich>
void Open(std::initializer_list<intercept::Stage*> stages) {
  static toy::Real driver = [] {
    toy::Real real;
    real.toyLaunch = &DriverLaunch;
    real.toyAlloc = [](toy::toy_context, toy::toy_memory* memory, size_t) -> toy::toy_status {
      *memory = 1;
      return toy::TOY_OK;
    };
    real.toyFree = [](toy::toy_memory) -> toy::toy_status { return toy::TOY_OK; };
    return real;
  }();
  auto& chassis = g_chassis<kWhich>;
  chassis.SetForwarder(0, intercept::DoorLevel::kOuter, toy::AsTable(driver));
  for (intercept::Stage* stage : stages) {
    if (!chassis.AddStage(stage).ok()) abort();
  }
  chassis.Start();
}

void LaunchBare(benchmark::State& state) {
  auto* volatile driver = &DriverLaunch;
  for (auto _ : state) {
    benchmark::DoNotOptimize(driver(nullptr, nullptr, nullptr));
  }
}

template <int kWhich>
void Launch(benchmark::State& state) {
  auto* volatile entry = &intercept::Entry<toy::ToyLaunchCall, g_chassis<kWhich>, 0>::Invoke;
  for (auto _ : state) {
    benchmark::DoNotOptimize(entry(nullptr, nullptr, nullptr));
  }
}

template <int kWhich>
void AllocAndFree(benchmark::State& state) {
  toy::toy_memory memory = 0;
  for (auto _ : state) {
    intercept::Entry<toy::ToyAllocCall, g_chassis<kWhich>, 0>::Invoke(nullptr, &memory, 64);
    intercept::Entry<toy::ToyFreeCall, g_chassis<kWhich>, 0>::Invoke(memory);
  }
}

// Records into a file that nobody needs afterwards.
intercept::Stage* TemporaryTrace() {
  static char path[] = "/tmp/flexai-call-cost-XXXXXX";
  const int fd = mkstemp(path);
  if (fd < 0) return nullptr;
  close(fd);
  atexit([] { unlink(path); });
  auto stage = intercept::TraceStage::Open(toy::kLibrary, path, /*text=*/false);
  return stage.ok() ? std::move(stage).value().release() : nullptr;
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  slice::PretendDaemon daemon(1 << 20);
  // Never freed: the agent's thread keeps pointers to them.
  auto* gate = new slice::GateLever();
  auto* tenant = new slice::Tenant(gate);
  auto* queues = new slice::QueueWatch();
  auto* stage = new slice::ShortSliceStage<ToyRules>(tenant, new ToyRules(queues), gate, queues);
  intercept::Stage* trace = TemporaryTrace();
  if (!tenant->Attach().ok() || !trace) {
    fprintf(stderr, "call_cost: no slice, or no room for a trace in /tmp\n");
    return 1;
  }
  Open<kEmpty>({});
  Open<kSliced>({stage});
  Open<kTraced>({trace});
  Open<kBoth>({trace, stage});
  benchmark::RegisterBenchmark("launch/bare", &LaunchBare);
  benchmark::RegisterBenchmark("launch/chassis", &Launch<kEmpty>);
  benchmark::RegisterBenchmark("launch/slice", &Launch<kSliced>);
  benchmark::RegisterBenchmark("launch/trace", &Launch<kTraced>)->Iterations(kTracedCalls);
  benchmark::RegisterBenchmark("launch/trace+slice", &Launch<kBoth>)->Iterations(kTracedCalls);
  benchmark::RegisterBenchmark("alloc+free/chassis", &AllocAndFree<kEmpty>);
  benchmark::RegisterBenchmark("alloc+free/slice", &AllocAndFree<kSliced>);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace flexai

int main(int argc, char** argv) { return flexai::Main(argc, argv); }
