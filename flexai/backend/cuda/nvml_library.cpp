#include "flexai/backend/cuda/nvml_library.h"

#include <dlfcn.h>
#include <stdlib.h>

namespace flexai::backend::cuda {

NvmlLibrary OpenNvml() {
  NvmlLibrary library;
  const char* asked = secure_getenv("FLEXAI_NVML");
  library.handle = dlopen(asked && *asked ? asked : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  for (const intercept::FnInfo& info : api::nvml::kFunctions) {
    if (!library.handle) break;
    api::nvml::AsTable(library.real)[info.index] = dlsym(library.handle, info.name);
  }
  return library;
}

}  // namespace flexai::backend::cuda
