// What happens at a process's first call of the driver: the stages are made and the slice is taken.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "flexai/backend/cuda/card_slice.h"
#include "flexai/backend/cuda/exported.h"
#include "flexai/backend/cuda/look_up_stage.h"
#include "flexai/backend/cuda/route_stage.h"
#include "flexai/backend/cuda/visible_card.h"
#include "flexai/backend/nvidia/import_slot.h"
#include "flexai/base/log.h"
#include "flexai/intercept/trace.h"
#include "flexai/slice/attach.h"

namespace flexai::backend::cuda {
namespace {

using Cards = std::vector<std::unique_ptr<CardSlice>>;
Cards* g_cards = nullptr;  // of the slice, from the start on; never freed
nvidia::ChannelFreeze::IoctlFn g_ioctl = nullptr;

// Where the driver calls the kernel. Before there is a slice nobody asks for ioctls: the driver is
// opened at the first call, after the stages are made.
int Ioctl(int fd, unsigned long request, void* argument) {
  for (const auto& card : *g_cards) card->freeze.BeforeIoctl(request, argument);
  const int result = g_ioctl(fd, request, argument);
  const int saved = errno;
  for (const auto& card : *g_cards) {
    if (result == 0) card->freeze.AfterIoctl(fd, request, argument);
  }
  errno = saved;
  return result;
}

void AfterForkInChild() {
  for (const auto& card : *g_cards) {
    card->freeze.Forget();
    card->tenant.AfterFork();
  }
}

void Add(intercept::Chassis& chassis, intercept::Stage* stage) {
  const Status added = chassis.AddStage(stage);
  if (!added.ok()) Notice("%s: %s", stage->name(), added.ToString().c_str());
}

// One stage, and where the slice has several cards, one that finds the right one.
intercept::Stage* StageOf(const Cards& cards) {
  if (cards.size() == 1) return &cards.front()->stage;
  return new RouteStage(cards);
}

void AddSlice(intercept::Chassis& chassis) {
  const char* variable = getenv("FLEXAI_SLICE");
  if (!variable) return;
  const int cards = slice::CardsOfSlice(variable);
  g_cards = new Cards;
  std::vector<std::string> uuids;
  for (int part = 0; part < cards; ++part) {
    g_cards->push_back(std::make_unique<CardSlice>(part));
    CardSlice& card = *g_cards->back();
    if (const Status attached = card.tenant.Attach(); !attached.ok()) {
      Notice("no slice: %s. Allocations on the card will be refused", attached.ToString().c_str());
    }
    const slice::Region* region = card.tenant.region();
    if (!region) continue;
    uuids.push_back(region->header.card_uuid);
    if (cards > 1) card.freeze.KeepTo(uuids.back());
  }
  if (!uuids.empty()) ShowCardsOfSlice(uuids);
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  g_ioctl = reinterpret_cast<nvidia::ChannelFreeze::IoctlFn>(
      nvidia::ReplaceImport(Driver(), "ioctl", reinterpret_cast<void*>(&Ioctl)));
  for (const auto& card : *g_cards) card->freeze.SetReal(g_ioctl);
  if (!g_ioctl) FLEXAI_LOG("slice", kInfo, "the driver's calls of the kernel are not seen");
  Add(chassis, StageOf(*g_cards));
}

// A closed gate must not keep a process from ending.
__attribute__((destructor)) void AtExit() {
  for (size_t i = 0; g_cards && i < g_cards->size(); ++i) (*g_cards)[i]->tenant.Exit();
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
