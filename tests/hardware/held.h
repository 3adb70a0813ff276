// What NVIDIA's management library says that a process holds on a card: past a slice, which
// would answer with its own books.
#pragma once

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "flexai/base/load_directly.h"
#include "nvml/real.h"

namespace flexai::hardware {

class Held {
 public:
  /// The card with this UUID of 16 bytes, by the library at `path`. Ends the program where there is
  /// no such library or card.
  void Open(const char* path, const void* uuid) {
    void* library = LoadDirectly(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) Fail(path, dlerror());
    void** table = api::nvml::AsTable(nvml_);
    for (const auto& row : api::nvml::kFunctions) table[row.index] = dlsym(library, row.name);
    std::string text = "GPU-";
    for (int i = 0; i < 16; ++i) {
      char hex[4];
      snprintf(hex, sizeof(hex), "%02x", static_cast<const unsigned char*>(uuid)[i]);
      text += hex;
      if (i == 3 || i == 5 || i == 7 || i == 9) text += "-";
    }
    if (nvml_.nvmlInit_v2() != 0) Fail(path, "it does not start");
    if (nvml_.nvmlDeviceGetHandleByUUID(text.c_str(), &device_) != 0) Fail(path, text.c_str());
  }

  /// Units: bytes. 0: the library does not tell.
  uint64_t Bytes(pid_t pid = getpid()) const {
    std::vector<api::nvml::nvmlProcessInfo_t> processes(256);
    unsigned count = 256;
    if (nvml_.nvmlDeviceGetComputeRunningProcesses_v3(device_, &count, processes.data()) != 0) {
      return 0;
    }
    for (unsigned i = 0; i < count; ++i) {
      if (processes[i].pid == static_cast<unsigned>(pid)) return processes[i].usedGpuMemory;
    }
    // In a namespace of its own a process has another number; alone on the card it is the only one.
    return count == 1 ? processes[0].usedGpuMemory : 0;
  }

 private:
  [[noreturn]] static void Fail(const char* path, const char* why) {
    fprintf(stderr, "management library %s: %s\n", path, why);
    exit(3);
  }

  api::nvml::Real nvml_;
  api::nvml::nvmlDevice_t device_ = nullptr;
};

}  // namespace flexai::hardware
