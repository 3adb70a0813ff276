#include "flexai/backend/cuda/inventory.h"

#include <stdlib.h>

#include "flexai/backend/cuda/mps.h"
#include "flexai/backend/cuda/nvml_library.h"
#include "flexai/backend/cuda/prober.h"

namespace flexai::backend::cuda {
namespace {

namespace api = ::flexai::api::nvml;

// The oldest driver whose calls the tables were compared with: that of CUDA 12.4.
constexpr int kOldestDriver = 550;
// The driver of docs/reference/h100-results.md, where channels were stopped and the trace was read.
constexpr char kTriedDriver[] = "580.159.04";

// The file of the driver, with its version: how processes that use it are known.
std::string DriverFile(const std::string& version) { return "libcuda.so." + version; }

Status Refused(const std::string& what, const std::string& cure) {
  return Status(Code::kFailedPrecondition, what, cure);
}

// Whether a driver of this version can be used as it is.
Status CheckVersion(const char* version) {
  if (atoi(version) >= kOldestDriver) return Status();
  return Refused(std::string("the NVIDIA driver ") + version + " is older than " +
                     std::to_string(kOldestDriver) + ", the oldest whose calls are known",
                 "install a newer driver, then start flexaid again");
}

// Whether the card is as one that nobody cuts or reserves otherwise. `name` is for people.
Status CheckUse(const api::Real& ml, api::nvmlDevice_t device, unsigned index,
                const std::string& name) {
  const std::string smi = "nvidia-smi -i " + std::to_string(index);
  unsigned mig = 0, pending = 0, clients = 0;
  if (ml.nvmlDeviceGetMigMode &&
      ml.nvmlDeviceGetMigMode(device, &mig, &pending) == api::NVML_SUCCESS && mig == 1) {
    return Refused(name + " is cut by MIG already, and its parts cannot be cut again",
                   smi + " -mig 0, then start flexaid again");
  }
  api::nvmlComputeMode_t mode = 0;
  if (ml.nvmlDeviceGetComputeMode &&
      ml.nvmlDeviceGetComputeMode(device, &mode) == api::NVML_SUCCESS && mode != 0) {
    return Refused(name + " is in a compute mode in which several processes may not use it",
                   smi + " -c DEFAULT, then start flexaid again");
  }
  // Served from another namespace, whose processes and sockets are not seen here.
  if (ml.nvmlDeviceGetMPSComputeRunningProcesses_v3 &&
      ml.nvmlDeviceGetMPSComputeRunningProcesses_v3(device, &clients, nullptr) ==
          api::NVML_ERROR_INSUFFICIENT_SIZE) {
    return Refused(
        name + " is shared by MPS, so the driver sees one process where there are many",
        "end its daemon (echo quit | nvidia-cuda-mps-control), then start flexaid again");
  }
  return Status();
}

class CudaInventory : public device::Inventory {
 public:
  Result<std::vector<model::Card>> List() override;
  std::vector<model::Unshared> LeftOut() const override { return left_out_; }

 private:
  static Result<model::Card> Describe(const api::Real& ml, unsigned index,
                                      const std::string& version, std::string* uuid);

  std::vector<model::Unshared> left_out_;
};

Result<model::Card> CudaInventory::Describe(const api::Real& ml, unsigned index,
                                            const std::string& version, std::string* uuid) {
  api::nvmlDevice_t device = nullptr;
  char text[96] = {};
  std::string name = "NVIDIA card " + std::to_string(index);
  if (ml.nvmlDeviceGetHandleByIndex_v2(index, &device) != api::NVML_SUCCESS) {
    return Status(Code::kUnavailable, name + " does not answer",
                  "nvidia-smi says more; a card that fell off the bus needs a reboot");
  }
  model::Card card;
  card.joins = true;
  card.backend = "cuda";
  card.kind = "gpu";
  card.vendor = "NVIDIA";
  card.driver = version;
  card.tried_driver = kTriedDriver;
  if (ml.nvmlDeviceGetUUID(device, text, sizeof(text)) == api::NVML_SUCCESS) card.uuid = text;
  if (ml.nvmlDeviceGetName(device, text, sizeof(text)) == api::NVML_SUCCESS) card.model = text;
  *uuid = card.uuid;
  if (!card.model.empty()) name += " (" + card.model + ")";
  FLEXAI_RETURN_IF_ERROR(CheckUse(ml, device, index, name));
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
  card.driver_identity = DriverIdentity();
  return card;
}

Result<std::vector<model::Card>> CudaInventory::List() {
  left_out_.clear();
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
  FLEXAI_RETURN_IF_ERROR(CheckVersion(version));
  if (const std::string seen = FindMps(); !seen.empty()) {
    return Refused(
        "MPS runs (" + seen + "), so the NVIDIA driver sees one process where there are many",
        "end it (echo quit | nvidia-cuda-mps-control), then start flexaid again");
  }
  unsigned count = 0;
  ml.nvmlDeviceGetCount_v2(&count);
  for (unsigned i = 0; i < count; ++i) {
    std::string uuid;
    Result<model::Card> card = Describe(ml, i, version, &uuid);
    if (card.ok()) {
      cards.push_back(std::move(card).value());
    } else {
      left_out_.push_back(
          {uuid, std::string(card.status().message()), std::string(card.status().hint())});
    }
  }
  return cards;
}

}  // namespace

std::unique_ptr<device::Inventory> MakeInventory() { return std::make_unique<CudaInventory>(); }

}  // namespace flexai::backend::cuda
