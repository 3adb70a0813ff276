// The cards of this host, as the management library shows them.
#pragma once

#include <memory>

#include "flexai/device/inventory.h"

namespace flexai::backend::cuda {

/// Errors of List: kFailedPrecondition (the driver is too old, or a card is cut or shared by other
/// means already).
std::unique_ptr<device::Inventory> MakeInventory();

}  // namespace flexai::backend::cuda
