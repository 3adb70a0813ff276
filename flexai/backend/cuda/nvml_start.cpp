// What happens at a process's first call of the management library: the stages are made.
#include "flexai/backend/cuda/nvml_exported.h"

namespace flexai::backend::nvml {

void Start(intercept::Chassis&) {}

}  // namespace flexai::backend::nvml
