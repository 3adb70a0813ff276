// The fake management library: the cards, with the books that fake drivers share.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flexai/backend/cuda/fake_shared.h"
#include "flexai/backend/nvidia/fake_cards.h"
#include "flexai/fake/entry.h"
#include "nvml/calls.h"

namespace flexai::fake {

namespace ml = ::flexai::api::nvml;
using namespace ::flexai::backend::cuda::fake_driver;  // NOLINT: the books are its own

const intercept::LibraryInfo& Library() { return ml::kLibrary; }

namespace {

char g_cards[kMostCards];  // their addresses are the cards' handles

template <class C>
void End(C& call, int64_t code = ml::NVML_SUCCESS) {
  intercept::EndWith(ml::kLibrary.ops[C::kIndex].fields, &call, code);
}

template <class C>
void TellText(C& call, char* to, const char* text) {
  snprintf(to, call.length, "%s", text);
  End(call);
}

// `then(card)` ends a call about a card, where its handle is one of ours.
template <class C, class F>
void OnHandle(C& call, F then) {
  for (int card = 0; card < CardCount(); ++card) {
    if (reinterpret_cast<const char*>(call.device) == &g_cards[card]) return then(card);
  }
  End(call, ml::NVML_ERROR_INVALID_ARGUMENT);
}

// The first card that is meant.
template <class C, class F>
void TellCard(C& call, F is_meant) {
  for (int card = 0; card < CardCount(); ++card) {
    if (!is_meant(card)) continue;
    *call.device = reinterpret_cast<ml::nvmlDevice_t>(&g_cards[card]);
    return End(call);
  }
  End(call, ml::NVML_ERROR_NOT_FOUND);
}

template <class C>
void TellCardAt(C& call) {
  if (call.index >= static_cast<unsigned>(CardCount())) {
    return End(call, ml::NVML_ERROR_INVALID_ARGUMENT);
  }
  TellCard(call, [&](int card) { return static_cast<unsigned>(card) == call.index; });
}

template <class C>
void TellCardOnPci(C& call) {
  unsigned domain = 0, bus = 0, slot = 0;
  if (sscanf(call.pciBusId, "%x:%x:%x", &domain, &bus, &slot) != 3) {
    return End(call, ml::NVML_ERROR_INVALID_ARGUMENT);
  }
  TellCard(call, [&](int card) {
    const CardName name = NameOfCard(card);
    return name.domain == static_cast<int>(domain) && name.bus == static_cast<int>(bus) &&
           name.device == static_cast<int>(slot);
  });
}

template <class C>
void TellCount(C& call) {
  *call.deviceCount = static_cast<unsigned>(CardCount());
  End(call);
}

template <class C>
void TellPci(C& call) {
  OnHandle(call, [&](int card) {
    const CardName name = NameOfCard(card);
    *call.pci = {};
    call.pci->domain = static_cast<unsigned>(name.domain);
    call.pci->bus = static_cast<unsigned>(name.bus);
    call.pci->device = static_cast<unsigned>(name.device);
    snprintf(call.pci->busId, sizeof(call.pci->busId), "%08x:%02x:%02x.0", name.domain, name.bus,
             name.device);
    End(call);
  });
}

template <class C>
void TellProcesses(C& call) {
  OnHandle(call, [&](int card) {
    const auto uses = SharedCard::Instance(card).Uses();
    const unsigned room = *call.infoCount;
    *call.infoCount = static_cast<unsigned>(uses.size());
    if (uses.size() > room) return End(call, ml::NVML_ERROR_INSUFFICIENT_SIZE);
    for (size_t i = 0; i < uses.size(); ++i) {
      call.infos[i] = {};
      call.infos[i].pid = uses[i].pid;
      call.infos[i].usedGpuMemory = uses[i].bytes;
    }
    End(call);
  });
}

// Clients of the vendor's own server, as many as the environment says.
template <class C>
void TellMpsProcesses(C& call) {
  const char* clients = getenv("FLEXAI_FAKE_MPS");
  const auto count = static_cast<unsigned>(clients ? atoi(clients) : 0);
  const bool fits = count <= *call.infoCount;
  for (unsigned i = 0; fits && i < count; ++i) {
    call.infos[i] = {};
    call.infos[i].pid = i + 1;
  }
  *call.infoCount = count;
  End(call, fits ? ml::NVML_SUCCESS : ml::NVML_ERROR_INSUFFICIENT_SIZE);
}

// One entry for each process, in lists of every shape.
template <class C, class T>
void TellUses(C& call, T* entries, unsigned* count) {
  OnHandle(call, [&](int card) {
    const auto uses = SharedCard::Instance(card).Uses();
    const bool fits = entries && uses.size() <= *count;
    for (size_t i = 0; fits && i < uses.size(); ++i) {
      T& entry = entries[i];
      entry = {};
      if constexpr (requires { entry.pid; }) {
        entry.pid = uses[i].pid;
      } else {
        entry = uses[i].pid;
      }
      if constexpr (requires { entry.usedGpuMemory; }) entry.usedGpuMemory = uses[i].bytes;
    }
    // Of sessions the number may be asked for.
    const bool counts = requires { call.sessionCount; }
    &&*count == 0;
    *count = static_cast<unsigned>(uses.size());
    End(call, fits || counts ? ml::NVML_SUCCESS : ml::NVML_ERROR_INSUFFICIENT_SIZE);
  });
}

template <class C>
void TellNoProcess(C& call) {
  *call.infoCount = 0;
  End(call);
}

template <class C>
void TellMemory(C& call) {
  OnHandle(call, [&](int number) {
    const SharedCard& card = SharedCard::Instance(number);
    call.memory->total = card.total();
    call.memory->used = card.used();
    call.memory->free = card.total() - card.used();
    End(call);
  });
}

}  // namespace

#define FAKE(Name) \
  template <>      \
  void Run<ml::Name##Call>(ml::Name##Call & call)
#define FAKE_AS(Name, Body) \
  FAKE(Name) { Body(call); }

FAKE_AS(NvmlDeviceGetCount, TellCount)
FAKE_AS(NvmlDeviceGetCount_v2, TellCount)
FAKE_AS(NvmlDeviceGetHandleByIndex, TellCardAt)
FAKE_AS(NvmlDeviceGetHandleByIndex_v2, TellCardAt)
FAKE_AS(NvmlDeviceGetHandleByPciBusId, TellCardOnPci)
FAKE_AS(NvmlDeviceGetHandleByPciBusId_v2, TellCardOnPci)
FAKE_AS(NvmlDeviceGetPciInfo, TellPci)
FAKE_AS(NvmlDeviceGetPciInfo_v2, TellPci)
FAKE_AS(NvmlDeviceGetPciInfo_v3, TellPci)
FAKE_AS(NvmlDeviceGetMemoryInfo, TellMemory)
FAKE_AS(NvmlDeviceGetMemoryInfo_v2, TellMemory)
FAKE_AS(NvmlDeviceGetComputeRunningProcesses, TellProcesses)
FAKE_AS(NvmlDeviceGetComputeRunningProcesses_v2, TellProcesses)
FAKE_AS(NvmlDeviceGetComputeRunningProcesses_v3, TellProcesses)
FAKE_AS(NvmlDeviceGetGraphicsRunningProcesses, TellNoProcess)
FAKE_AS(NvmlDeviceGetGraphicsRunningProcesses_v2, TellNoProcess)
FAKE_AS(NvmlDeviceGetGraphicsRunningProcesses_v3, TellNoProcess)
FAKE_AS(NvmlDeviceGetMPSComputeRunningProcesses, TellMpsProcesses)
FAKE_AS(NvmlDeviceGetMPSComputeRunningProcesses_v2, TellMpsProcesses)
FAKE_AS(NvmlDeviceGetMPSComputeRunningProcesses_v3, TellMpsProcesses)

FAKE(NvmlDeviceGetHandleByUUID) {
  TellCard(call, [&](int card) { return UuidOfCard(card) == call.uuid; });
}
FAKE(NvmlDeviceGetProcessUtilization) {
  TellUses(call, call.utilization, call.processSamplesCount);
}
FAKE(NvmlDeviceGetProcessesUtilizationInfo) {
  auto* info = call.procesesUtilInfo;
  TellUses(call, info->procUtilArray, &info->processSamplesCount);
}
FAKE(NvmlDeviceGetRunningProcessDetailList) {
  TellUses(call, call.plist->procArray, &call.plist->numProcArrayEntries);
}
FAKE(NvmlDeviceGetEncoderSessions) { TellUses(call, call.sessionInfos, call.sessionCount); }
FAKE(NvmlDeviceGetFBCSessions) { TellUses(call, call.sessionInfo, call.sessionCount); }
FAKE(NvmlDeviceGetAccountingPids) { TellUses(call, call.pids, call.count); }
FAKE(NvmlDeviceGetAccountingStats) {
  *call.stats = {};
  End(call);
}

FAKE(NvmlErrorString) {
  call.result = call.outcome == ml::NVML_SUCCESS ? "Success" : "an error of the fake library";
}
FAKE(NvmlSystemGetDriverVersion) {
  const char* version = getenv("FLEXAI_FAKE_DRIVER");
  TellText(call, call.version, version ? version : "580.0.0");
}
FAKE(NvmlSystemGetNVMLVersion) { TellText(call, call.version, "13.580.0"); }
FAKE(NvmlSystemGetCudaDriverVersion) {
  *call.cudaDriverVersion = 13000;
  End(call);
}
FAKE(NvmlSystemGetCudaDriverVersion_v2) {
  *call.cudaDriverVersion = 13000;
  End(call);
}
FAKE(NvmlDeviceGetName) { TellText(call, call.name, "flexai fake card"); }
FAKE(NvmlDeviceGetUUID) {
  OnHandle(call, [&](int card) { TellText(call, call.uuid, UuidOfCard(card).c_str()); });
}
FAKE(NvmlDeviceGetIndex) {
  OnHandle(call, [&](int card) {
    *call.index = static_cast<unsigned>(card);
    End(call);
  });
}
FAKE(NvmlDeviceGetComputeMode) {
  const char* mode = getenv("FLEXAI_FAKE_COMPUTE_MODE");
  *call.mode = static_cast<ml::nvmlComputeMode_t>(mode ? atoi(mode) : 0);
  End(call);
}
FAKE(NvmlDeviceGetCudaComputeCapability) {
  *call.major = 9;
  *call.minor = 0;
  End(call);
}
FAKE(NvmlDeviceGetUtilizationRates) {
  *call.utilization = {};
  End(call);
}
FAKE(NvmlDeviceGetNumGpuCores) {
  *call.numCores = 256;
  End(call);
}
FAKE(NvmlDeviceGetMigMode) {
  const char* mig = getenv("FLEXAI_FAKE_MIG");
  *call.currentMode = *call.pendingMode = mig && mig[0] == '1';
  End(call);
}

}  // namespace flexai::fake
