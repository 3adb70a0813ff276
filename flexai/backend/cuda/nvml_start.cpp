// What happens at a process's first call of the management library: it is made to show the slice,
// as the driver's library does.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
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
  template <class C>
  static void ShowProcesses(C& call, const slice::Region& region);
  static void ShowSamples(Call& call, const slice::Region& region);
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
  for (unsigned i = 0; all && i < count; ++i) {
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

template <class C>
void ViewStage::ShowProcesses(C& call, const slice::Region& region) {
  if (!call.infoCount || !call.infos) return;
  *call.infoCount = KeepOwn(call.infos, *call.infoCount, region);
}

// What processes had of the card's parts, or have left in its history.
void ViewStage::ShowSamples(Call& call, const slice::Region& region) {
  const auto keep = [&](auto* all, unsigned* count) {
    if (all && count) *count = KeepOwn(all, *count, region);
  };
  switch (call.info().index) {
    case api::NvmlDeviceGetProcessUtilizationCall::kIndex: {
      const auto& c = call.As<api::NvmlDeviceGetProcessUtilizationCall>();
      return keep(c.utilization, c.processSamplesCount);
    }
    case api::NvmlDeviceGetProcessesUtilizationInfoCall::kIndex: {
      auto* info = call.As<api::NvmlDeviceGetProcessesUtilizationInfoCall>().procesesUtilInfo;
      return keep(info->procUtilArray, &info->processSamplesCount);
    }
    case api::NvmlDeviceGetRunningProcessDetailListCall::kIndex: {
      auto* list = call.As<api::NvmlDeviceGetRunningProcessDetailListCall>().plist;
      return keep(list->procArray, &list->numProcArrayEntries);
    }
    case api::NvmlDeviceGetEncoderSessionsCall::kIndex: {
      const auto& c = call.As<api::NvmlDeviceGetEncoderSessionsCall>();
      return keep(c.sessionInfos, c.sessionCount);
    }
    case api::NvmlDeviceGetFBCSessionsCall::kIndex: {
      const auto& c = call.As<api::NvmlDeviceGetFBCSessionsCall>();
      return keep(c.sessionInfo, c.sessionCount);
    }
    case api::NvmlDeviceGetAccountingPidsCall::kIndex: {
      const auto& c = call.As<api::NvmlDeviceGetAccountingPidsCall>();
      return keep(c.pids, c.count);
    }
    case api::NvmlDeviceGetAccountingStatsCall::kIndex: {
      uint64_t bytes = 0;
      const unsigned pid = call.As<api::NvmlDeviceGetAccountingStatsCall>().pid;
      if (!Find(region, pid, &bytes)) call.Refuse(Code::kNotFound);
      return;
    }
    case api::NvmlDeviceGetAccountingStats_v2Call::kIndex:
      return call.Refuse(Code::kPermissionDenied);  // whose it is stands where we do not look
    default:
      return;
  }
}

bool ViewStage::Before(Call& call) {
  if (!Changes(call.info()) || !tenants_.front()->region()) return true;
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
#define PROCESSES(Name)   \
  case api::Name::kIndex: \
    return ShowProcesses(call.As<api::Name>(), *region);
      PROCESSES(NvmlDeviceGetComputeRunningProcessesCall)
      PROCESSES(NvmlDeviceGetComputeRunningProcesses_v2Call)
      PROCESSES(NvmlDeviceGetComputeRunningProcesses_v3Call)
      PROCESSES(NvmlDeviceGetGraphicsRunningProcessesCall)
      PROCESSES(NvmlDeviceGetGraphicsRunningProcesses_v2Call)
      PROCESSES(NvmlDeviceGetGraphicsRunningProcesses_v3Call)
      PROCESSES(NvmlDeviceGetMPSComputeRunningProcessesCall)
      PROCESSES(NvmlDeviceGetMPSComputeRunningProcesses_v2Call)
      PROCESSES(NvmlDeviceGetMPSComputeRunningProcesses_v3Call)
#undef PROCESSES
    default:
      return ShowSamples(call, *region);
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
