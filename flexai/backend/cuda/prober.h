// Tries the levers of a card on a tiny kernel of its own. `flexaid` asks, in a process for that.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "flexai/backend/cuda/switch_trace.h"
#include "flexai/device/prober.h"

namespace flexai::backend::cuda {

/// What a probe's result holds for: it changes with the driver's library and with the kernel
/// module. Empty where there is no such library.
std::string DriverIdentity();

/// Whether `pid`, which has computed since `since`, is in the card's record within `within`;
/// nothing where the record cannot be read, which the meter tells by itself. Units: CLOCK_MONOTONIC
/// ns.
std::optional<device::LeverFinding> AskRecord(SwitchTrace& trace, pid_t pid, Nanos since,
                                              Nanos within);

/// Loads the driver when it is asked; `Probe` changes this process's environment.
std::unique_ptr<device::Prober> MakeProber();

}  // namespace flexai::backend::cuda
