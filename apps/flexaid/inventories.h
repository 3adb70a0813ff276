// The backends of this build, each asked for its cards; made from the build's list of backends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flexai/device/inventory.h"
#include "flexai/device/meter.h"
#include "flexai/device/prober.h"

namespace flexai {

std::vector<std::unique_ptr<device::Inventory>> MakeInventories();

/// Those that can be asked what processes hold; loads drivers.
std::vector<std::unique_ptr<device::Meter>> MakeMeters();

/// That of a backend; null where its cards have no levers to try.
std::unique_ptr<device::Prober> MakeProber(const std::string& name);

}  // namespace flexai
