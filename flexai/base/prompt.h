// Being woken in time on a machine whose cores are all busy.
#pragma once

namespace flexai {

/// Asks the kernel to run the calling thread soon after it wakes: in the real-time class where that
/// is allowed, else with a short time slice where the kernel knows that. For threads that work for
/// microseconds and then sleep.
void AskForPromptWakeups();

}  // namespace flexai
