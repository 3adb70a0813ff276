// What happens at a process's first call of the management library: it is made to show the slice,
// as the driver's library does.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "flexai/backend/cuda/nvml_exported.h"
#include "flexai/base/log.h"
#include "flexai/slice/attach.h"
#include "flexai/slice/tenant.h"

namespace flexai::backend::nvml {
namespace {

using intercept::Call;
using Tenants = std::vector<std::unique_ptr<slice::Tenant>>;  // one for each card of the slice

/// The slice's cards show the slice's memory and processes; others stay as they are. What would
/// change a card is refused: it is not the tenant's alone.
class ViewStage : public intercept::Stage {
 public:
  explicit ViewStage(const Tenants& tenants) : tenants_(tenants) {}
  const char* name() const override { return "view"; }
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kOpen; }
  bool Listens(const intercept::FnInfo& info) override {
    return info.event == intercept::Event::kMemoryInfo || Changes(info);
  }
  bool Before(Call& call) override;
  void After(Call& call) override;

 private:
  static bool Changes(const intercept::FnInfo& info) {
    return info.wire == intercept::WireClass::kRefuse;
  }
  const slice::Region* RegionOf(uint64_t device) const;
  static const slice::ProcessSlot* Find(const slice::Region& region, unsigned pid, uint64_t* bytes);
  template <class T>
  static unsigned KeepOwn(T* all, unsigned count, const slice::Region& region);
  template <class T, class Ask>
  static api::nvmlReturn_t List(T* to, unsigned* count, const slice::Region& region, Ask ask);
  template <class L, class T, class Ask>
  static api::nvmlReturn_t ListIn(L* list, T* L::*array, unsigned L::*count,
                                  const slice::Region& region, Ask ask);
  template <class C, class F>
  static bool ListProcesses(Call& call, F function, const slice::Region& region);
  template <class C, class T, class F>
  static bool ListSessions(C& call, T* to, F function, const slice::Region& region);
  static bool ListSamples(Call& call, const slice::Region& region);
  static bool AnswerList(Call& call, const slice::Region& region);
  template <class M>
  static void ShowMemory(M* memory, const slice::Region& region);

  const Tenants& tenants_;
  std::array<std::atomic<bool>, api::kFunctionCount> told_ = {};  // by function: of its refusal
};

// What the slice has of the card; null: nothing.
const slice::Region* ViewStage::RegionOf(uint64_t device) const {
  char uuid[96] = {};
  const auto ask = Real().nvmlDeviceGetUUID;
  const auto handle = reinterpret_cast<api::nvmlDevice_t>(device);
  if (!ask || ask(handle, uuid, sizeof(uuid)) != api::NVML_SUCCESS) return nullptr;
  for (const auto& tenant : tenants_) {
    const slice::Region* region = tenant->region();
    if (region && strcmp(uuid, region->header.card_uuid) == 0) return region;
  }
  return nullptr;
}

template <class M>
void ViewStage::ShowMemory(M* memory, const slice::Region& region) {
  if (!memory) return;
  const uint64_t limit = region.header.memory_limit.load(std::memory_order_relaxed);
  const uint64_t used = slice::UsedBytes(region);
  memory->total = std::min<uint64_t>(memory->total, limit);
  memory->free = std::min<uint64_t>(memory->free, limit > used ? limit - used : 0);
  memory->used = used;
  if constexpr (requires { memory->reserved; }) memory->reserved = 0;
}

// A process of the tenant by its number on the host, and what all its slots are charged; null for
// one of somebody else.
const slice::ProcessSlot* ViewStage::Find(const slice::Region& region, unsigned pid,
                                          uint64_t* bytes) {
  const slice::ProcessSlot* found = nullptr;
  const uint32_t slots = region.header.slots_used.load(std::memory_order_acquire);
  for (uint32_t s = 0; s < slots && s < slice::kMaxProcesses; ++s) {
    const slice::ProcessSlot& slot = region.slots[s];
    if (slot.owner.load() == 0 || slot.host_pid.load() != pid) continue;
    if (!found || slot.pid.load() != 0) found = &slot;
    *bytes += slice::HeldBytes(slot);
  }
  return found;
}

// Only the tenant's own processes, under the numbers that they know, with what they are charged.
template <class T>
unsigned ViewStage::KeepOwn(T* all, unsigned count, const slice::Region& region) {
  unsigned kept = 0;
  for (unsigned i = 0; i < count; ++i) {
    T process = all[i];
    unsigned* number = nullptr;
    if constexpr (requires { process.pid; }) {
      number = &process.pid;
    } else {
      number = &process;
    }
    uint64_t bytes = 0;
    const slice::ProcessSlot* slot = Find(region, *number, &bytes);
    if (!slot) continue;
    if (const uint32_t pid = slot->pid.load()) *number = pid;
    if constexpr (requires { process.usedGpuMemory; }) process.usedGpuMemory = bytes;
    all[kept++] = process;
  }
  return kept;
}

// Asked with room for everybody's, so that the caller's room has to do for the tenant's own only.
// `ask(T*, unsigned*)` asks the driver.
template <class T, class Ask>
api::nvmlReturn_t ViewStage::List(T* to, unsigned* count, const slice::Region& region, Ask ask) {
  constexpr size_t kAtFirst = 64, kMost = 1 << 20;
  std::vector<T> all;
  api::nvmlReturn_t code = api::NVML_ERROR_INSUFFICIENT_SIZE;
  unsigned found = 0;
  for (size_t room = kAtFirst; code == api::NVML_ERROR_INSUFFICIENT_SIZE && room <= kMost;
       room = std::max<size_t>(2 * room, found)) {
    all.assign(room, T{});
    found = static_cast<unsigned>(room);
    code = ask(all.data(), &found);
  }
  if (code != api::NVML_SUCCESS) return code;
  if (!to && *count != 0) return api::NVML_ERROR_INVALID_ARGUMENT;
  const unsigned kept = KeepOwn(all.data(), found, region);
  const unsigned room = std::exchange(*count, kept);
  if (kept > room) return api::NVML_ERROR_INSUFFICIENT_SIZE;
  std::copy_n(all.begin(), kept, to);
  return api::NVML_SUCCESS;
}

template <class C, class F>
bool ViewStage::ListProcesses(Call& call, F function, const slice::Region& region) {
  auto& c = call.As<C>();
  if (!c.infoCount || !function) return false;
  c.result = List(c.infos, c.infoCount, region,
                  [&](auto* all, unsigned* count) { return function(c.device, count, all); });
  return true;
}

// The number of sessions may be asked for with no room for any.
template <class C, class T, class F>
bool ViewStage::ListSessions(C& c, T* to, F function, const slice::Region& region) {
  if (!c.sessionCount || !function) return false;
  const bool counts = *c.sessionCount == 0;
  c.result = List(to, c.sessionCount, region,
                  [&](auto* all, unsigned* count) { return function(c.device, count, all); });
  if (counts && c.result == api::NVML_ERROR_INSUFFICIENT_SIZE) c.result = api::NVML_SUCCESS;
  return true;
}

// The same where the caller gives a struct with the array and its size. Without an array, whatever
// the size says, the number is asked for.
template <class L, class T, class Ask>
api::nvmlReturn_t ViewStage::ListIn(L* list, T* L::*array, unsigned L::*count,
                                    const slice::Region& region, Ask ask) {
  if (!(list->*array)) list->*count = 0;
  return List(list->*array, &(list->*count), region, [&](T* all, unsigned* room) {
    L asked = *list;
    asked.*array = all;
    asked.*count = *room;
    const api::nvmlReturn_t code = ask(&asked);
    *room = asked.*count;
    return code;
  });
}

// What processes had of the card's parts, or have left in its history. False: not such a call.
bool ViewStage::ListSamples(Call& call, const slice::Region& region) {
  const api::Real& real = Real();
  switch (call.info().index) {
    case api::NvmlDeviceGetProcessUtilizationCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetProcessUtilizationCall>();
      if (!c.processSamplesCount || !real.nvmlDeviceGetProcessUtilization) return false;
      if (!c.utilization) *c.processSamplesCount = 0;
      c.result = List(c.utilization, c.processSamplesCount, region, [&](auto* all, unsigned* n) {
        return real.nvmlDeviceGetProcessUtilization(c.device, all, n, c.lastSeenTimeStamp);
      });
      return true;
    }
    case api::NvmlDeviceGetProcessesUtilizationInfoCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetProcessesUtilizationInfoCall>();
      using Info = std::remove_pointer_t<decltype(c.procesesUtilInfo)>;
      const auto ask = real.nvmlDeviceGetProcessesUtilizationInfo;
      if (!c.procesesUtilInfo || !ask) return false;
      c.result = ListIn(c.procesesUtilInfo, &Info::procUtilArray, &Info::processSamplesCount,
                        region, [&](Info* asked) { return ask(c.device, asked); });
      return true;
    }
    case api::NvmlDeviceGetRunningProcessDetailListCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetRunningProcessDetailListCall>();
      using Details = std::remove_pointer_t<decltype(c.plist)>;
      const auto ask = real.nvmlDeviceGetRunningProcessDetailList;
      if (!c.plist || !ask) return false;
      c.result = ListIn(c.plist, &Details::procArray, &Details::numProcArrayEntries, region,
                        [&](Details* asked) { return ask(c.device, asked); });
      return true;
    }
    case api::NvmlDeviceGetEncoderSessionsCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetEncoderSessionsCall>();
      return ListSessions(c, c.sessionInfos, real.nvmlDeviceGetEncoderSessions, region);
    }
    case api::NvmlDeviceGetFBCSessionsCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetFBCSessionsCall>();
      return ListSessions(c, c.sessionInfo, real.nvmlDeviceGetFBCSessions, region);
    }
    case api::NvmlDeviceGetAccountingPidsCall::kIndex: {
      auto& c = call.As<api::NvmlDeviceGetAccountingPidsCall>();
      if (!c.count || !real.nvmlDeviceGetAccountingPids) return false;
      c.result = List(c.pids, c.count, region, [&](unsigned* all, unsigned* n) {
        return real.nvmlDeviceGetAccountingPids(c.device, n, all);
      });
      return true;
    }
    default:
      return false;
  }
}

// Answers a call that lists processes. False: it is none.
bool ViewStage::AnswerList(Call& call, const slice::Region& region) {
  switch (call.info().index) {
#define PROCESSES(List)                        \
  case api::NvmlDeviceGet##List##Call::kIndex: \
    return ListProcesses<api::NvmlDeviceGet##List##Call>(call, Real().nvmlDeviceGet##List, region);
    PROCESSES(ComputeRunningProcesses)
    PROCESSES(ComputeRunningProcesses_v2)
    PROCESSES(ComputeRunningProcesses_v3)
    PROCESSES(GraphicsRunningProcesses)
    PROCESSES(GraphicsRunningProcesses_v2)
    PROCESSES(GraphicsRunningProcesses_v3)
    PROCESSES(MPSComputeRunningProcesses)
    PROCESSES(MPSComputeRunningProcesses_v2)
    PROCESSES(MPSComputeRunningProcesses_v3)
#undef PROCESSES
    default:
      return ListSamples(call, region);
  }
}

bool ViewStage::Before(Call& call) {
  if (!Changes(call.info())) {
    const slice::Region* region = RegionOf(call.handle());
    if (region && AnswerList(call, *region)) call.Answer();
    return true;
  }
  if (!tenants_.front()->region()) return true;
  if (!told_[call.info().index].exchange(true)) {
    Notice("%s refused: %s; do it outside of flexai run", call.info().name, call.info().reason);
  }
  call.Refuse(Code::kPermissionDenied);
  return false;
}

void ViewStage::After(Call& call) {
  if (!call.ok() || Changes(call.info())) return;
  const slice::Region* region = RegionOf(call.handle());
  if (!region) return;
  switch (call.info().index) {
    case api::NvmlDeviceGetMemoryInfoCall::kIndex:
      return ShowMemory(call.As<api::NvmlDeviceGetMemoryInfoCall>().memory, *region);
    case api::NvmlDeviceGetMemoryInfo_v2Call::kIndex:
      return ShowMemory(call.As<api::NvmlDeviceGetMemoryInfo_v2Call>().memory, *region);
    case api::NvmlDeviceGetAccountingStatsCall::kIndex: {
      uint64_t bytes = 0;
      const unsigned pid = call.As<api::NvmlDeviceGetAccountingStatsCall>().pid;
      if (!Find(*region, pid, &bytes)) call.Refuse(Code::kNotFound);
      return;
    }
    case api::NvmlDeviceGetAccountingStats_v2Call::kIndex:
      return call.Refuse(Code::kPermissionDenied);  // whose it is stands where we do not look
    default:
      return;
  }
}

Tenants* g_tenants = nullptr;  // never freed

void AfterForkInChild() {
  for (const auto& tenant : *g_tenants) tenant->AfterFork();
}

__attribute__((destructor)) void AtExit() {
  for (size_t i = 0; g_tenants && i < g_tenants->size(); ++i) (*g_tenants)[i]->Exit();
}

}  // namespace

void Start(intercept::Chassis& chassis) {
  const char* variable = getenv("FLEXAI_SLICE");
  if (!variable) return;
  const int cards = slice::CardsOfSlice(variable);
  g_tenants = new Tenants;
  for (int part = 0; part < cards; ++part) {
    g_tenants->push_back(std::make_unique<slice::Tenant>(nullptr, nullptr, part));
    const Status attached = g_tenants->back()->Attach();
    if (attached.ok()) continue;
    FLEXAI_LOG("cuda", kWarn, "the management library shows the whole card: %s",
               attached.ToString().c_str());
    return;
  }
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  if (const Status added = chassis.AddStage(new ViewStage(*g_tenants)); !added.ok()) {
    Notice("view: %s", added.ToString().c_str());
  }
}

}  // namespace flexai::backend::nvml
