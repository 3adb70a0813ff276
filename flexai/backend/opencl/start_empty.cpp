// Only the trace stage: calls pass through unchanged.
#include "flexai/backend/opencl/doors.h"
#include "flexai/base/log.h"
#include "flexai/intercept/trace.h"

namespace flexai::backend::opencl {

void Start(intercept::Chassis& chassis) {
  // Never freed: threads may still be in a call when the process ends.
  intercept::TraceStage* trace =
      intercept::TraceStage::FromEnvironment(chassis.library()).release();
  if (!trace) return;
  const Status added = chassis.AddStage(trace);
  if (!added.ok()) Notice("trace: %s", added.ToString().c_str());
}

}  // namespace flexai::backend::opencl
