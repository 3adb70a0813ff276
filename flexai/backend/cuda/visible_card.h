// What the driver reads from the environment, made to fit the slice: its card is the only one that
// the program may see.
#pragma once

#include <string>

namespace flexai::backend::cuda {

/// Of CUDA_VISIBLE_DEVICES, as a program in a slice shall see it.
struct VisibleCard {
  std::string list;      // what the driver shall read; empty = no card
  std::string sentence;  // for the person who chose what the slice does not have; mostly empty
};

/// `chosen` is what the program's own environment says (null = nothing): by index or by (the
/// beginning of) a name, it chooses among the slice's cards. `uuid` is the slice's card.
VisibleCard ChooseVisible(const char* chosen, const std::string& uuid);

/// Sets this process's environment: the card, and no other way to share it.
void ShowCardOfSlice(const std::string& uuid);

}  // namespace flexai::backend::cuda
