// Tries a card's levers in a process of its own: it uses the card as a program does, which a daemon
// must not, and a driver may hang or crash in it.
#pragma once

#include <string>

#include "flexai/model/card.h"
#include "flexai/operate/lever_probes.h"

namespace flexai {

/// Starts the probe of one card.
/// Errors: kInternal (it cannot be started).
Result<operate::ProbeProcess> StartProbe(const model::Card& card);

/// Its main function: prints what was found as JSON.
int ProbeLevers(const std::string& backend, const std::string& uuid);

}  // namespace flexai
