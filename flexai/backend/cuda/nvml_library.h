// The management library for programs of our own: `flexaid` alone opens it, in a process for that.
#pragma once

#include "nvml/real.h"

namespace flexai::backend::cuda {

struct NvmlLibrary {
  void* handle = nullptr;  // null where it is not installed
  api::nvml::Real real;
};

/// Opens it: FLEXAI_NVML names another.
NvmlLibrary OpenNvml();

}  // namespace flexai::backend::cuda
