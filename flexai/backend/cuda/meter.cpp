#include "flexai/backend/cuda/meter.h"

#include <utility>

#include "flexai/backend/cuda/nvml_library.h"
#include "flexai/backend/cuda/switch_trace.h"
#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

namespace api = ::flexai::api::nvml;

constexpr uint64_t kNoFigure = ~uint64_t{0};
constexpr unsigned kMostProcesses = 1024;

// After a trace was refused, or broke.
constexpr Nanos kTryAgainAfter = 60 * kSecond;

struct WatchedCard {
  std::string uuid;
  int minor = -1;  // of its file; -1 = it cannot be watched
  std::unique_ptr<SwitchTrace> trace;
  std::string refused = "nobody has asked yet";
  Nanos try_at = 0;
  bool told = false;
};

class CudaMeter : public device::Meter {
 public:
  explicit CudaMeter(const NvmlLibrary& library) : ml_(library.real) {}
  std::vector<device::ProcessUse> Read() override;
  std::vector<device::CardTime> ReadTimes() override;
  std::vector<device::CardWatch> Watches() const override;

 private:
  void FindWatched();
  void Watch(WatchedCard& card);
  static void Unwatch(WatchedCard& card, const Status& why);

  api::Real ml_;
  bool found_ = false;
  std::vector<WatchedCard> watched_;
};

std::vector<device::ProcessUse> CudaMeter::Read() {
  std::vector<device::ProcessUse> uses;
  std::vector<api::nvmlProcessInfo_t> processes(kMostProcesses);
  unsigned cards = 0;
  ml_.nvmlDeviceGetCount_v2(&cards);
  for (unsigned i = 0; i < cards; ++i) {
    api::nvmlDevice_t card = nullptr;
    char uuid[96] = {};
    unsigned count = kMostProcesses;
    if (ml_.nvmlDeviceGetHandleByIndex_v2(i, &card) != api::NVML_SUCCESS ||
        ml_.nvmlDeviceGetUUID(card, uuid, sizeof(uuid)) != api::NVML_SUCCESS ||
        ml_.nvmlDeviceGetComputeRunningProcesses_v3(card, &count, processes.data()) !=
            api::NVML_SUCCESS) {
      continue;
    }
    uses.push_back({uuid, 0, 0});
    for (unsigned p = 0; p < count; ++p) {
      if (processes[p].usedGpuMemory == kNoFigure) continue;
      uses.push_back({uuid, processes[p].pid, processes[p].usedGpuMemory});
    }
  }
  return uses;
}

void CudaMeter::FindWatched() {
  found_ = true;
  const bool sees_pids = SeesHostPids();
  unsigned cards = 0;
  ml_.nvmlDeviceGetCount_v2(&cards);
  for (unsigned i = 0; i < cards; ++i) {
    api::nvmlDevice_t card = nullptr;
    char uuid[96] = {};
    unsigned minor = 0;
    if (ml_.nvmlDeviceGetHandleByIndex_v2(i, &card) != api::NVML_SUCCESS ||
        ml_.nvmlDeviceGetUUID(card, uuid, sizeof(uuid)) != api::NVML_SUCCESS) {
      continue;
    }
    WatchedCard& found = watched_.emplace_back();
    found.uuid = uuid;
    if (!sees_pids) {
      found.refused = "flexaid does not see the host's process ids";
    } else if (!ml_.nvmlDeviceGetMinorNumber ||
               ml_.nvmlDeviceGetMinorNumber(card, &minor) != api::NVML_SUCCESS) {
      found.refused = "the driver does not tell the card's file";
    } else {
      found.minor = static_cast<int>(minor);
    }
  }
}

void CudaMeter::Watch(WatchedCard& card) {
  const Nanos now = MonotonicNow();
  if (card.minor < 0 || now < card.try_at) return;
  card.try_at = now + kTryAgainAfter;
  auto trace = SwitchTrace::Open(card.minor, card.uuid);
  if (!trace.ok()) return Unwatch(card, trace.status());
  card.trace = std::move(trace).value();
  card.refused.clear();
}

void CudaMeter::Unwatch(WatchedCard& card, const Status& why) {
  card.trace.reset();
  card.refused = why.message();
  if (std::exchange(card.told, true)) return;
  FLEXAI_LOG("meter", kWarn, "%s: card time is charged by the clock alone; %s", card.uuid.c_str(),
             why.ToString().c_str());
}

std::vector<device::CardTime> CudaMeter::ReadTimes() {
  if (!found_) FindWatched();
  std::vector<device::CardTime> all;
  for (WatchedCard& card : watched_) {
    if (!card.trace) Watch(card);
    if (!card.trace) continue;
    if (const Status polled = card.trace->Poll(); !polled.ok()) {
      Unwatch(card, polled);
      continue;
    }
    SwitchTimes& times = card.trace->times();
    const bool lost = times.TakeLost();
    all.push_back({card.uuid, times.horizon(), lost, times.Totals()});
  }
  return all;
}

std::vector<device::CardWatch> CudaMeter::Watches() const {
  std::vector<device::CardWatch> all;
  for (const WatchedCard& card : watched_) all.push_back({card.uuid, card.refused});
  return all;
}

}  // namespace

std::unique_ptr<device::Meter> MakeMeter() {
  const NvmlLibrary library = OpenNvml();
  const api::Real& ml = library.real;
  if (!library.handle || !ml.nvmlInit_v2 || !ml.nvmlDeviceGetComputeRunningProcesses_v3 ||
      ml.nvmlInit_v2() != api::NVML_SUCCESS) {
    return nullptr;
  }
  return std::make_unique<CudaMeter>(library);
}

}  // namespace flexai::backend::cuda
