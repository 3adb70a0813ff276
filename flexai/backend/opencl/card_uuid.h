// What a device is called among the cards of this host: by its driver, or by us.
#pragma once

#include <string>

#include "opencl/real.h"

namespace flexai::backend::opencl {

namespace api = ::flexai::api::opencl;

/// The uuid of the card that `device` is, as slices name it: the driver's own where it tells one,
/// written as other libraries of its vendor do; otherwise made up from what it says of itself.
/// Devices that are CPUs are one card, the host's processor. `info` asks the driver.
std::string CardUuid(decltype(api::Real::clGetDeviceInfo) info, api::cl_device_id device);

/// Whether a card of this uuid is the host's processor.
bool IsCpu(const char* uuid);

}  // namespace flexai::backend::opencl
