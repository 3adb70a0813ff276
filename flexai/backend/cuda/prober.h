// Tries the levers of a card on a tiny kernel of its own. `flexaid` asks, in a process for that.
#pragma once

#include <memory>
#include <string>

#include "flexai/device/prober.h"

namespace flexai::backend::cuda {

/// What a probe's result holds for: it changes with the driver's library and with the kernel
/// module. Empty where there is no such library.
std::string DriverIdentity();

/// Loads the driver when it is asked; `Probe` changes this process's environment.
std::unique_ptr<device::Prober> MakeProber();

}  // namespace flexai::backend::cuda
