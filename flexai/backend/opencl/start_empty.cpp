// No stages: calls pass through unchanged.
#include "flexai/backend/opencl/doors.h"

namespace flexai::backend::opencl {

void Start(intercept::Chassis&) {}

}  // namespace flexai::backend::opencl
