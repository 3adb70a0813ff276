// Kernels of the fake OpenCL driver: what is read of a source, and the few bodies that it knows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::backend::opencl::fake_driver {

/// The kernels that `source` declares. False, with a log, for a source that no compiler takes:
/// brackets that do not close, or an #error.
bool KernelsOf(const std::string& source, std::vector<std::shared_ptr<const KernelSource>>* kernels,
               std::string* log);

/// One launch, as its body sees it.
struct Launch {
  size_t offset[3] = {0, 0, 0};
  size_t size[3] = {1, 1, 1};
  std::vector<Arg> args;
};
using KernelBody = void (*)(const Launch&);

/// What a kernel of this name does; null = nothing. Known are
///   flexai_fill(global uint* out, uint value)                  out[i] = value
///   flexai_add(global uint* a, global uint* b, global uint* c) c[i] = a[i] + b[i]
///   flexai_spin(global uint* out, uint rounds)   out[i] = i, `rounds` times x * 1664525 +
///   1013904223
/// where i is the first global id.
KernelBody BodyOf(const std::string& name);

}  // namespace flexai::backend::opencl::fake_driver
