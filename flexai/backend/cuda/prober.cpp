#include "flexai/backend/cuda/prober.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cuda/real.h"
#include "flexai/backend/cuda/nvml_library.h"
#include "flexai/backend/cuda/open_real.h"
#include "flexai/backend/cuda/probe_kernel.h"
#include "flexai/backend/nvidia/channel_freeze.h"
#include "flexai/backend/nvidia/import_slot.h"
#include "flexai/base/clock.h"

namespace flexai::backend::cuda {
namespace {

namespace api = ::flexai::api::cuda;

using device::LeverFinding;
using device::ProbeResult;

// Longer than the turns of neighbours on the card, so that a kernel that waits for one is not taken
// for one that was stopped.
constexpr Nanos kStandsFor = 30 * kMillisecond;
constexpr Nanos kSettles = kMillisecond;  // what was on its way to the host's memory arrives
constexpr Nanos kGoesOnWithin = 200 * kMillisecond;
constexpr int kRounds = 3;
// The kernel ends by then whatever becomes of us.
constexpr uint64_t kLongest = 5 * kSecond;
// The record comes up to 45 ms late where it cannot be asked to hurry.
constexpr Nanos kRecordedWithin = 500 * kMillisecond;
constexpr uint32_t kTimeSliceUs = 5000;  // no driver's own

// Where the driver calls the kernel module; one probe in a process.
slice::GateLever g_gate;
nvidia::ChannelFreeze g_freeze(&g_gate);
int Ioctl(int fd, unsigned long request, void* argument) {
  return g_freeze.Ioctl(fd, request, argument);
}

std::string Ms(Nanos time) {
  char text[32];
  snprintf(text, sizeof(text), "%.2f ms", static_cast<double>(time) / kMillisecond);
  return text;
}

Nanos Median(std::vector<Nanos> times) {
  std::sort(times.begin(), times.end());
  return times.empty() ? 0 : times[times.size() / 2];
}

class CudaProber : public device::Prober {
 public:
  ProbeResult Probe(const std::string& uuid) override;

 private:
  bool Open(const std::string& uuid);
  bool StartKernel();
  bool Did(api::CUresult code, const char* what);
  void EndKernel();

  uint64_t Count() const { return words_->count; }
  bool Moves(Nanos within) const;
  bool Stands() const;
  bool GoesOn();
  LeverFinding AskStop();
  LeverFinding AskHandOver();
  LeverFinding AskTimeSlice();

  api::Real cuda_ = {};
  api::CUcontext context_ = nullptr;
  api::CUstream stream_ = nullptr;
  volatile ProbeWords* words_ = nullptr;
  std::string failed_;  // why the levers cannot be asked
};

bool CudaProber::Did(api::CUresult code, const char* what) {
  if (code == api::CUDA_SUCCESS) return true;
  failed_ = std::string(what) + " answers error " + std::to_string(code);
  if (code == api::CUDA_ERROR_OUT_OF_MEMORY) failed_ = "the card has no memory for a probe now";
  return false;
}

bool CudaProber::Open(const std::string& uuid) {
  setenv("CUDA_VISIBLE_DEVICES", uuid.c_str(), 1);
  setenv("CUDA_CACHE_DISABLE", "1", 1);  // nothing is left in anybody's home
  unsetenv("CUDA_INJECTION64_PATH");     // what watches programs has no part in it
  void* library = OpenReal("libcuda.so.1", "FLEXAI_CUDA_DRIVER", reinterpret_cast<void*>(&Ioctl));
  if (!library) {
    failed_ = "no driver's library could be opened";
    return false;
  }
  void* const real = nvidia::ReplaceImport(library, "ioctl", reinterpret_cast<void*>(&Ioctl));
  g_freeze.SetReal(reinterpret_cast<nvidia::ChannelFreeze::IoctlFn>(real));
  void** const table = api::AsTable(cuda_);
  for (const auto& info : api::kFunctions) table[info.index] = dlsym(library, info.name);
  if (!real || !cuda_.cuCtxCreate_v2 || !cuda_.cuMemHostGetDevicePointer_v2) {
    failed_ = "the driver's library is of a kind that is not known";
    return false;
  }
  return true;
}

bool CudaProber::StartKernel() {
  api::CUdevice_v1 card = 0;
  api::CUmodule module = nullptr;
  api::CUfunction count = nullptr;
  api::CUdeviceptr_v2 there = 0;
  void* here = nullptr;
  if (!Did(cuda_.cuInit(0), "cuInit") || !Did(cuda_.cuDeviceGet(&card, 0), "cuDeviceGet") ||
      !Did(cuda_.cuCtxCreate_v2(&context_, 0, card), "cuCtxCreate") ||
      !Did(cuda_.cuModuleLoadData(&module, kProbeKernel), "cuModuleLoadData") ||
      !Did(cuda_.cuModuleGetFunction(&count, module, kProbeKernelName), "cuModuleGetFunction") ||
      !Did(cuda_.cuMemHostAlloc(&here, sizeof(ProbeWords), 2 /* seen by the card */),
           "cuMemHostAlloc") ||
      !Did(cuda_.cuMemHostGetDevicePointer_v2(&there, here, 0), "cuMemHostGetDevicePointer") ||
      !Did(cuda_.cuStreamCreate(&stream_, 1 /* waits for no other */), "cuStreamCreate")) {
    return false;
  }
  memset(here, 0, sizeof(ProbeWords));
  words_ = static_cast<volatile ProbeWords*>(here);
  uint64_t longest = kLongest;
  void* parameters[] = {&there, &longest};
  return Did(cuda_.cuLaunchKernel(count, 1, 1, 1, 1, 1, 1, 0, stream_, parameters, nullptr),
             "cuLaunchKernel");
}

// What a driver does with a kernel that it lost is not waited for: the process ends.
void CudaProber::EndKernel() {
  if (!words_) return;
  words_->end = 1;
  const Nanos deadline = MonotonicNow() + kGoesOnWithin;
  while (cuda_.cuStreamQuery(stream_) != api::CUDA_SUCCESS && MonotonicNow() < deadline) {
    usleep(200);
  }
}

bool CudaProber::Moves(Nanos within) const {
  const uint64_t before = Count();
  const Nanos deadline = MonotonicNow() + within;
  while (Count() == before) {
    if (MonotonicNow() > deadline) return false;
    usleep(20);
  }
  return true;
}

bool CudaProber::Stands() const {
  usleep(static_cast<useconds_t>(kSettles / kMicrosecond));
  return !Moves(kStandsFor);
}

// A stop that takes the card from whoever has it, and the end of it: what helps a kernel that was
// let go on without having left the card.
bool CudaProber::GoesOn() {
  if (Moves(kGoesOnWithin)) return true;
  g_freeze.Hold(/*handed_over=*/false);
  g_freeze.Release();
  return Moves(kGoesOnWithin);
}

LeverFinding CudaProber::AskStop() {
  LeverFinding finding = {device::kStopLever, false, ""};
  if (g_freeze.workers() == 0) {
    finding.found = "none of the driver's channels was seen";
    return finding;
  }
  std::vector<Nanos> stops, goes;
  for (int round = 0; round < kRounds; ++round) {
    const Nanos asked = MonotonicNow();
    g_freeze.Hold(/*handed_over=*/false);
    const Nanos stopped = MonotonicNow();
    const bool refused = g_freeze.workers() == 0;
    const bool stands = !refused && Stands();
    const Nanos let = MonotonicNow();
    g_freeze.Release();
    goes.push_back(MonotonicNow() - let);
    stops.push_back(stopped - asked);
    if (refused) {
      char status[64];
      snprintf(status, sizeof(status), "the driver refuses (status 0x%x)", g_freeze.refused());
      finding.found = status;
      return finding;
    }
    if (!stands) {
      finding.found = "the driver says that it stops what runs, and it goes on";
      return finding;
    }
    if (!Moves(kGoesOnWithin)) {
      finding.found = "what was stopped does not go on";
      return finding;
    }
  }
  finding.holds = true;
  finding.found =
      Ms(Median(stops)) + " to stop what runs, " + Ms(Median(goes)) + " to let it go on";
  return finding;
}

// Alone on a card it can be asked whether what runs stands, and that nothing is lost by it. Whether
// it goes on by itself depends on a neighbour that has the card meanwhile (channel_freeze.cpp).
LeverFinding CudaProber::AskHandOver() {
  LeverFinding finding = {device::kHandOverLever, false, ""};
  const Nanos asked = MonotonicNow();
  g_freeze.Hold(/*handed_over=*/true);
  const Nanos took = MonotonicNow() - asked;
  const bool refused = !g_freeze.takes_off();
  const bool stands = !refused && Stands();
  g_freeze.Release();
  const bool by_itself = Moves(kGoesOnWithin);
  if (refused) {
    char status[64];
    snprintf(status, sizeof(status), "the driver refuses (status 0x%x)", g_freeze.refused());
    finding.found = status;
  } else if (!stands) {
    finding.found = "the driver says that it takes what runs off the card, and it goes on";
  } else if (!by_itself && !GoesOn()) {
    finding.found = "what was taken off the card does not go on";
  } else {
    finding.holds = true;
    finding.found = Ms(took) + " to take what runs off the card, which goes on " +
                    (by_itself ? "by itself" : "after it was stopped once more");
  }
  return finding;
}

LeverFinding CudaProber::AskTimeSlice() {
  LeverFinding finding = {device::kTimeSliceLever, false, ""};
  const uint32_t own = g_freeze.ReadTimeSlice();
  g_freeze.SetTimeSlice(kTimeSliceUs);
  const uint32_t set = g_freeze.ReadTimeSlice();
  g_freeze.SetTimeSlice(0);
  const uint32_t back = g_freeze.ReadTimeSlice();
  // The hardware counts in steps of its own.
  const auto is = [](uint32_t got, uint32_t wanted) {
    return got > wanted - wanted / 8 && got < wanted + wanted / 8;
  };
  finding.holds = own != 0 && is(set, kTimeSliceUs) && is(back, own);
  finding.found = own == 0 ? "the driver does not tell any"
                           : std::to_string(own) + " us by itself, " + std::to_string(set) +
                                 " us where " + std::to_string(kTimeSliceUs) + " us were asked, " +
                                 std::to_string(back) + " us given back";
  return finding;
}

// Null where the record cannot be read, which the meter tells by itself.
std::unique_ptr<SwitchTrace> OpenRecord(const std::string& uuid) {
  const NvmlLibrary library = OpenNvml();
  const auto& ml = library.real;
  ::flexai::api::nvml::nvmlDevice_t card = nullptr;
  unsigned minor = 0;
  constexpr auto kOk = ::flexai::api::nvml::NVML_SUCCESS;
  if (!SeesHostPids() || !library.handle || !ml.nvmlInit_v2 || !ml.nvmlDeviceGetMinorNumber ||
      ml.nvmlInit_v2() != kOk || ml.nvmlDeviceGetHandleByUUID(uuid.c_str(), &card) != kOk ||
      ml.nvmlDeviceGetMinorNumber(card, &minor) != kOk) {
    return nullptr;
  }
  auto trace = SwitchTrace::Open(static_cast<int>(minor), uuid);
  return trace.ok() ? std::move(trace).value() : nullptr;
}

ProbeResult CudaProber::Probe(const std::string& uuid) {
  ProbeResult result;
  if (!Open(uuid) || !StartKernel()) {
    result.not_probed = failed_;
    return result;
  }
  if (!Moves(2 * kSecond)) {
    result.not_probed = "the card is busy: a tiny kernel did not begin within 2 s";
    EndKernel();
    return result;
  }
  const std::unique_ptr<SwitchTrace> record = OpenRecord(uuid);
  const Nanos since = MonotonicNow();
  const LeverFinding time_slice = AskTimeSlice();
  const LeverFinding stop = AskStop();
  result.levers.push_back(stop);
  if (stop.holds) result.levers.push_back(AskHandOver());
  result.levers.push_back(time_slice);
  const auto recorded =
      record ? AskRecord(*record, getpid(), since, kRecordedWithin) : std::nullopt;
  if (recorded) result.levers.push_back(*recorded);
  EndKernel();
  return result;
}

}  // namespace

// A version alone does not tell: there are two kinds of kernel modules, and distributions build
// both anew.
std::string DriverIdentity() {
  const std::string path =
      RealPath("libcuda.so.1", "FLEXAI_CUDA_DRIVER", reinterpret_cast<const void*>(&Ioctl));
  struct stat file;
  if (path.empty() || stat(path.c_str(), &file) != 0) return "";
  char module[64] = {};
  if (FILE* source = fopen("/sys/module/nvidia/srcversion", "re")) {
    if (!fgets(module, sizeof(module), source)) module[0] = '\0';
    fclose(source);
  }
  module[strcspn(module, "\n")] = '\0';
  return path + ":" + std::to_string(file.st_ino) + ":" + std::to_string(file.st_size) + ":" +
         std::to_string(file.st_mtim.tv_sec) + ":" + module;
}

std::optional<LeverFinding> AskRecord(SwitchTrace& trace, pid_t pid, Nanos since, Nanos within) {
  const Nanos deadline = MonotonicNow() + within;
  for (;;) {
    if (!trace.Poll().ok()) return std::nullopt;
    Nanos total = 0;
    for (const device::ProcessTime& one : trace.times().Totals()) {
      if (one.pid == pid) total = one.total;
    }
    const Nanos passed = MonotonicNow() - since;
    if (total > passed) {
      return LeverFinding{device::kRecordLever, false,
                          "it tells " + Ms(total) + " of card time in " + Ms(passed)};
    }
    if (total > 0) {
      return LeverFinding{device::kRecordLever, true, "it tells the probe's time on the card"};
    }
    if (MonotonicNow() >= deadline) {
      return LeverFinding{device::kRecordLever, false,
                          "it can be read, and does not tell of a process that computes"};
    }
    usleep(10000);
  }
}

std::unique_ptr<device::Prober> MakeProber() { return std::make_unique<CudaProber>(); }

}  // namespace flexai::backend::cuda
