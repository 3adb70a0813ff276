// Asks the backends which cards there are, in a process of its own: drivers start threads, take
// memory, and may crash, none of which a daemon should share.
#pragma once

#include <vector>

#include "flexai/base/status.h"
#include "flexai/model/card.h"

namespace flexai {

/// Prints the cards of all backends as JSON; what the child of ProbeCardsInChild runs.
int PrintCards();

struct FoundCards {
  std::vector<model::Card> cards;
  std::vector<model::Unshared> unshared;
};

/// Errors: kInternal (the child cannot be started). A child that crashes or hangs means no cards,
/// and that this is told as the reason.
Result<FoundCards> ProbeCardsInChild();

}  // namespace flexai
