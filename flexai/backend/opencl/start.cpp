// What happens at a process's first OpenCL call: the stages are made and the slice is taken.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "flexai/backend/opencl/card_uuid.h"
#include "flexai/backend/opencl/doors.h"
#include "flexai/backend/opencl/driver_calls.h"
#include "flexai/backend/opencl/slice_rules.h"
#include "flexai/base/log.h"
#include "flexai/intercept/trace.h"

namespace flexai::backend::opencl {
namespace {

slice::Tenant::Tools ToolsFor(const slice::RegionHeader& header);

// One of each in a process, never freed: threads may still be in a call when it ends.
struct Slicing {
  slice::GateLever gate;
  WorkerFreeze workers{&gate};
  nvidia::ChannelFreeze channels{&gate};
  slice::QueueWatch queues;
  slice::Tenant tenant{&ToolsFor};
  SliceRules rules;
  slice::SliceStage stage;

  explicit Slicing(bool as_gpu)
      : rules(&tenant, {&workers, &channels, &queues}, as_gpu), stage(&tenant, &rules, &gate) {}
};
Slicing* g_slicing = nullptr;

slice::Tenant::Tools ToolsFor(const slice::RegionHeader& header) {
  const bool cpu = IsCpu(header.card_uuid);
  g_slicing->rules.IsOn(cpu ? SliceRules::Card::kCpu : SliceRules::Card::kOther);
  if (cpu) return {&g_slicing->workers, nullptr};
  return {&g_slicing->channels, &g_slicing->queues};
}

void AfterForkInChild() {
  g_slicing->workers.Forget();
  g_slicing->channels.Forget();
  g_slicing->rules.Forget();
  g_slicing->tenant.AfterFork();
}

bool PresentAsGpu() {
  const char* type = getenv("FLEXAI_OPENCL_DEVICE_TYPE");
  return type && strcmp(type, "gpu") == 0;
}

void Add(intercept::Chassis& chassis, intercept::Stage* stage) {
  const Status added = chassis.AddStage(stage);
  if (!added.ok()) Notice("%s: %s", stage->name(), added.ToString().c_str());
}

void AddSlice(intercept::Chassis& chassis) {
  const char* variable = getenv("FLEXAI_SLICE");
  if (!variable) return;
  g_slicing = new Slicing(PresentAsGpu());
  if (const Status attached = g_slicing->tenant.Attach(); !attached.ok()) {
    Notice("no slice: %s. Allocations on the card will be refused", attached.ToString().c_str());
  }
  const slice::Region* region = g_slicing->tenant.region();
  if (region && slice::CardsOfSlice(variable) > 1) {
    g_slicing->channels.KeepTo(region->header.card_uuid);
  }
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  StandBehindDriver(&g_slicing->channels);
  Add(chassis, &g_slicing->stage);
}

// A frozen worker must not keep a process from ending.
__attribute__((destructor)) void AtExit() {
  if (g_slicing) g_slicing->tenant.Exit();
}

}  // namespace

void Start(intercept::Chassis& chassis) {
  if (intercept::TraceStage* trace =
          intercept::TraceStage::FromEnvironment(chassis.library()).release()) {
    Add(chassis, trace);
  }
  AddSlice(chassis);
}

}  // namespace flexai::backend::opencl
