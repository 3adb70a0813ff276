// Asks the backends which cards there are, in a process of its own: drivers start threads, take
// memory, and may crash, none of which a daemon should share.
#pragma once

#include <vector>

#include "flexai/base/status.h"
#include "flexai/model/card.h"

namespace flexai {

/// Prints the cards of all backends as JSON; what the child of ProbeCardsInChild runs.
int PrintCards();

/// Errors: kInternal (the child cannot be started). A child that crashes or hangs means no cards,
/// with a line in the log.
Result<std::vector<model::Card>> ProbeCardsInChild();

}  // namespace flexai
