// The OpenCL cards of this host, as its drivers show them through the loader.
#pragma once

#include <memory>

#include "flexai/device/inventory.h"

namespace flexai::backend::opencl {

/// A device that is a CPU is the host's processor, whichever and however many drivers show it: it
/// is listed once.
std::unique_ptr<device::Inventory> MakeInventory();

}  // namespace flexai::backend::opencl
