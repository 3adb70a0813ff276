#include "flexai/backend/cuda/inventory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flexai/backend/cuda/nvml_library.h"
#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

namespace api = ::flexai::api::nvml;

// The oldest driver whose calls the table was compared with.
constexpr int kOldestDriver = 535;
// The driver of docs/reference/h100-results.md, where channels were stopped and the trace was read.
constexpr char kTriedDriver[] = "580.159.04";

// The file of the driver, with its version: how processes that use it are known.
std::string DriverFile(const std::string& version) { return "libcuda.so." + version; }

bool HasMpsServer() {
  DIR* processes = opendir("/proc");
  bool found = false;
  while (const dirent* entry = processes ? readdir(processes) : nullptr) {
    char path[280], name[32] = {};
    snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
    FILE* file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : nullptr;
    if (!file) continue;
    if (fgets(name, sizeof(name), file)) found |= strncmp(name, "nvidia-cuda-mps", 15) == 0;
    fclose(file);
  }
  if (processes) closedir(processes);
  return found;
}

Status Refused(const std::string& what, const std::string& cure) {
  return Status(Code::kFailedPrecondition, what, cure);
}

class CudaInventory : public device::Inventory {
 public:
  Result<std::vector<model::Card>> List() override;

 private:
  static Result<model::Card> Describe(const api::Real& ml, unsigned index,
                                      const std::string& version);
};

Result<model::Card> CudaInventory::Describe(const api::Real& ml, unsigned index,
                                            const std::string& version) {
  api::nvmlDevice_t device = nullptr;
  char text[96] = {};
  model::Card card;
  if (ml.nvmlDeviceGetHandleByIndex_v2(index, &device) != api::NVML_SUCCESS) {
    return Status(Code::kUnavailable, "NVIDIA card " + std::to_string(index) + " does not answer",
                  "nvidia-smi says more; a card that fell off the bus needs a reboot");
  }
  unsigned mig = 0, pending = 0;
  if (ml.nvmlDeviceGetMigMode &&
      ml.nvmlDeviceGetMigMode(device, &mig, &pending) == api::NVML_SUCCESS && mig == 1) {
    return Refused("NVIDIA card " + std::to_string(index) + " is cut by MIG already",
                   "nvidia-smi -i " + std::to_string(index) + " -mig 0, then start flexaid again");
  }
  card.backend = "cuda";
  card.kind = "gpu";
  card.vendor = "NVIDIA";
  card.driver = version;
  card.tried_driver = kTriedDriver;
  if (ml.nvmlDeviceGetName(device, text, sizeof(text)) == api::NVML_SUCCESS) card.model = text;
  if (ml.nvmlDeviceGetUUID(device, text, sizeof(text)) == api::NVML_SUCCESS) card.uuid = text;
  api::nvmlMemory_t memory = {};
  if (ml.nvmlDeviceGetMemoryInfo(device, &memory) == api::NVML_SUCCESS) {
    card.memory_bytes = memory.total;
  }
  unsigned cores = 0;
  if (ml.nvmlDeviceGetNumGpuCores &&
      ml.nvmlDeviceGetNumGpuCores(device, &cores) == api::NVML_SUCCESS) {
    card.compute_units = static_cast<int>(cores / 128);
  }
  card.libraries = {DriverFile(version)};
  return card;
}

Result<std::vector<model::Card>> CudaInventory::List() {
  std::vector<model::Card> cards;
  const NvmlLibrary library = OpenNvml();
  const api::Real& ml = library.real;
  if (!library.handle || !ml.nvmlInit_v2) return cards;
  if (ml.nvmlInit_v2() != api::NVML_SUCCESS) {
    return Status(Code::kUnavailable, "the NVIDIA driver is installed but does not answer",
                  "nvidia-smi says why; a driver and libraries of two versions need a reboot");
  }
  char version[96] = {};
  ml.nvmlSystemGetDriverVersion(version, sizeof(version));
  if (atoi(version) < kOldestDriver) {
    return Refused(std::string("the NVIDIA driver ") + version + " is older than " +
                       std::to_string(kOldestDriver) + ", the oldest that is supported",
                   "install a newer driver");
  }
  if (HasMpsServer()) {
    return Refused("an MPS server runs, so the driver sees one process where there are several",
                   "echo quit | nvidia-cuda-mps-control, then start flexaid again");
  }
  unsigned count = 0;
  ml.nvmlDeviceGetCount_v2(&count);
  for (unsigned i = 0; i < count; ++i) {
    const Result<model::Card> card = Describe(ml, i, version);
    if (!card.ok()) {
      Notice("%s", card.status().ToString().c_str());
      continue;
    }
    cards.push_back(*card);
  }
  return cards;
}

}  // namespace

std::unique_ptr<device::Inventory> MakeInventory() { return std::make_unique<CudaInventory>(); }

}  // namespace flexai::backend::cuda
