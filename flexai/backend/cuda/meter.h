// What each process holds on the cards of this host, as the management library tells.
#pragma once

#include <memory>

#include "flexai/device/meter.h"

namespace flexai::backend::cuda {

/// Null where there is no management library.
std::unique_ptr<device::Meter> MakeMeter();

}  // namespace flexai::backend::cuda
