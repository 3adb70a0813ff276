#include "flexai/backend/cuda/meter.h"

#include "flexai/backend/cuda/nvml_library.h"

namespace flexai::backend::cuda {
namespace {

namespace api = ::flexai::api::nvml;

constexpr uint64_t kNoFigure = ~uint64_t{0};
constexpr unsigned kMostProcesses = 1024;

class CudaMeter : public device::Meter {
 public:
  explicit CudaMeter(const NvmlLibrary& library) : ml_(library.real) {}
  std::vector<device::ProcessUse> Read() override;

 private:
  api::Real ml_;
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
    for (unsigned p = 0; p < count; ++p) {
      if (processes[p].usedGpuMemory == kNoFigure) continue;
      uses.push_back({uuid, processes[p].pid, processes[p].usedGpuMemory});
    }
  }
  return uses;
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
