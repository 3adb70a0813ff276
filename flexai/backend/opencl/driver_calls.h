// What NVIDIA's driver of OpenCL asks of the kernel module: it holds a whole driver of its own, so
// its channels are seen at its own calls of ioctl.
#pragma once

#include "flexai/backend/nvidia/channel_freeze.h"

namespace flexai::backend::opencl {

/// Puts `freeze` between that driver and ioctl, if it is loaded and that was not done yet; the same
/// one each time. False while it is not loaded.
/// Thread: any.
bool StandBehindDriver(nvidia::ChannelFreeze* freeze);

}  // namespace flexai::backend::opencl
