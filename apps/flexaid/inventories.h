// The backends that this build knows: one line each.
#pragma once

#include <memory>
#include <vector>

#include "flexai/backend/opencl/inventory.h"
#include "flexai/device/inventory.h"

namespace flexai {

inline std::vector<std::unique_ptr<device::Inventory>> MakeInventories() {
  std::vector<std::unique_ptr<device::Inventory>> all;
  all.push_back(std::make_unique<backend::opencl::OpenClInventory>());
  return all;
}

}  // namespace flexai
