// What happens at a process's first call of the management library: it is made to show the slice,
// as the driver's library does.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "flexai/backend/cuda/nvml_exported.h"
#include "flexai/base/log.h"
#include "flexai/slice/tenant.h"

namespace flexai::backend::nvml {
namespace {

using intercept::Call;

/// The slice's card shows the slice's memory and processes; other cards stay as they are.
class ViewStage : public intercept::Stage {
 public:
  explicit ViewStage(slice::Tenant* tenant) : tenant_(tenant) {}
  const char* name() const override { return "view"; }
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kOpen; }
  bool Listens(const intercept::FnInfo& info) override {
    return info.event == intercept::Event::kMemoryInfo;
  }
  bool Before(Call&) override { return true; }
  void After(Call& call) override;

 private:
  static bool IsOurs(const slice::Region& region, uint64_t device);
  template <class C>
  static void ShowProcesses(C& call, const slice::Region& region);
  template <class M>
  static void ShowMemory(M* memory, const slice::Region& region);

  slice::Tenant* tenant_;
};

bool ViewStage::IsOurs(const slice::Region& region, uint64_t device) {
  char uuid[96] = {};
  const auto ask = Real().nvmlDeviceGetUUID;
  const auto handle = reinterpret_cast<api::nvmlDevice_t>(device);
  return ask && ask(handle, uuid, sizeof(uuid)) == api::NVML_SUCCESS &&
         strcmp(uuid, region.header.card_uuid) == 0;
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

// Only the tenant's own processes, under the numbers that they know, with what they are charged.
template <class C>
void ViewStage::ShowProcesses(C& call, const slice::Region& region) {
  if (!call.infoCount || !call.infos) return;
  unsigned kept = 0;
  const uint32_t slots = region.header.slots_used.load(std::memory_order_acquire);
  for (unsigned i = 0; i < *call.infoCount; ++i) {
    auto process = call.infos[i];
    bool found = false;
    uint64_t bytes = 0;
    for (uint32_t s = 0; s < slots && s < slice::kMaxProcesses; ++s) {
      const slice::ProcessSlot& slot = region.slots[s];
      if (slot.owner.load() == 0 || slot.host_pid.load() != call.infos[i].pid) continue;
      found = true;
      bytes += slice::HeldBytes(slot);
      if (const uint32_t pid = slot.pid.load()) process.pid = pid;
    }
    if (!found) continue;
    process.usedGpuMemory = bytes;
    call.infos[kept++] = process;
  }
  *call.infoCount = kept;
}

void ViewStage::After(Call& call) {
  const slice::Region* region = tenant_->region();
  if (!call.ok() || !region || !IsOurs(*region, call.handle())) return;
  switch (call.info().index) {
    case api::NvmlDeviceGetMemoryInfoCall::kIndex:
      return ShowMemory(call.As<api::NvmlDeviceGetMemoryInfoCall>().memory, *region);
    case api::NvmlDeviceGetMemoryInfo_v2Call::kIndex:
      return ShowMemory(call.As<api::NvmlDeviceGetMemoryInfo_v2Call>().memory, *region);
    case api::NvmlDeviceGetComputeRunningProcessesCall::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetComputeRunningProcessesCall>(), *region);
    case api::NvmlDeviceGetComputeRunningProcesses_v2Call::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetComputeRunningProcesses_v2Call>(), *region);
    case api::NvmlDeviceGetComputeRunningProcesses_v3Call::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetComputeRunningProcesses_v3Call>(), *region);
    case api::NvmlDeviceGetGraphicsRunningProcessesCall::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetGraphicsRunningProcessesCall>(), *region);
    case api::NvmlDeviceGetGraphicsRunningProcesses_v2Call::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetGraphicsRunningProcesses_v2Call>(), *region);
    case api::NvmlDeviceGetGraphicsRunningProcesses_v3Call::kIndex:
      return ShowProcesses(call.As<api::NvmlDeviceGetGraphicsRunningProcesses_v3Call>(), *region);
    default:
      return;
  }
}

slice::Tenant* g_tenant = nullptr;  // never freed

void AfterForkInChild() { g_tenant->AfterFork(); }

__attribute__((destructor)) void AtExit() {
  if (g_tenant) g_tenant->Exit();
}

}  // namespace

void Start(intercept::Chassis& chassis) {
  if (!getenv("FLEXAI_SLICE")) return;
  g_tenant = new slice::Tenant(nullptr);
  if (const Status attached = g_tenant->Attach(); !attached.ok()) {
    FLEXAI_LOG("cuda", kWarn, "the management library shows the whole card: %s",
               attached.ToString().c_str());
    return;
  }
  pthread_atfork(nullptr, nullptr, &AfterForkInChild);
  if (const Status added = chassis.AddStage(new ViewStage(g_tenant)); !added.ok()) {
    Notice("view: %s", added.ToString().c_str());
  }
}

}  // namespace flexai::backend::nvml
