// The OpenCL cards of this host, as its drivers show them through the loader.
#pragma once

#include "flexai/device/inventory.h"

namespace flexai::backend::opencl {

class OpenClInventory : public device::Inventory {
 public:
  /// A device that is a CPU is the host's processor, whichever and however many drivers show it: it
  /// is listed once.
  Result<std::vector<model::Card>> List() override;
};

}  // namespace flexai::backend::opencl
