// What happens at a process's first call of the driver: the stages are made and the slice is taken.
#include <pthread.h>
#include <stdlib.h>

#include "flexai/backend/cuda/channel_freeze.h"
#include "flexai/backend/cuda/exported.h"
#include "flexai/backend/cuda/import_slot.h"
#include "flexai/backend/cuda/look_up_stage.h"
#include "flexai/backend/cuda/slice_rules.h"
#include "flexai/backend/cuda/visible_card.h"
#include "flexai/base/log.h"
#include "flexai/intercept/trace.h"

namespace flexai::backend::cuda {
namespace {

// One of each in a process, never freed: threads may still be in a call when it ends.
struct Slicing {
  slice::GateLever gate;
  ChannelFreeze freeze{&gate};
  slice::QueueWatch queues;
  slice::Tenant tenant{&freeze, &queues};
  SliceRules rules{&tenant, &queues};
  slice::SliceStage stage{&tenant, &rules, &gate};
};
Slicing* g_slicing = nullptr;

// Where the driver calls the kernel. Before there is a slice nobody asks for ioctls: the driver is
// opened at the first call, after the stages are made.
int Ioctl(int fd, unsigned long request, void* argument) {
  return g_slicing->freeze.Ioctl(fd, request, argument);
}

void AfterForkInChild() {
  g_slicing->freeze.Forget();
  g_slicing->tenant.AfterFork();
}

void Add(intercept::Chassis& chassis, intercept::Stage* stage) {
  const Status added = chassis.AddStage(stage);
  if (!added.ok()) Notice("%s: %s", stage->name(), added.ToString().c_str());
}

void AddSlice(intercept::Chassis& chassis) {
  if (!getenv("FLEXAI_SLICE")) return;
  g_slicing = new Slicing;
  if (const Status attached = g_slicing->tenant.Attach(); !attached.ok()) {
    Notice("no slice: %s. Allocations on the card will be refused", attached.ToString().c_str());
  }
  if (const slice::Region* region = g_slicing->tenant.region()) {
    ShowCardOfSlice(region->header.card_uuid);
  }
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  void* const real = ReplaceImport(Driver(), "ioctl", reinterpret_cast<void*>(&Ioctl));
  g_slicing->freeze.SetReal(reinterpret_cast<ChannelFreeze::IoctlFn>(real));
  if (!real) FLEXAI_LOG("slice", kInfo, "the driver's calls of the kernel are not seen");
  Add(chassis, &g_slicing->stage);
}

// A closed gate must not keep a process from ending.
__attribute__((destructor)) void AtExit() {
  if (g_slicing) g_slicing->tenant.Exit();
}

}  // namespace

void Start(intercept::Chassis& chassis) {
  // Never freed: threads may still be in a call when the process ends.
  Add(chassis, new LookUpStage);
  if (intercept::TraceStage* trace =
          intercept::TraceStage::FromEnvironment(chassis.library()).release()) {
    Add(chassis, trace);
  }
  AddSlice(chassis);
}

}  // namespace flexai::backend::cuda
