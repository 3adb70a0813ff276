// The helper that may load drivers and tells the daemon what they say of processes.
#pragma once

#include <vector>

#include "flexai/model/card.h"

namespace flexai {

/// Starts it if there are cards beyond the host's own; its ends, or -1 where there is none.
void StartMeter(const std::vector<model::Card>& cards, int* ask_fd, int* answer_fd);

/// Its main function: one answer for each line, and from the first one on the use of cards as often
/// as it changes (operate/card_meter.h), until the daemon is gone.
int MeterCards();

}  // namespace flexai
