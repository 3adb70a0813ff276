// What the driver reads from the environment, made to fit the slice: its cards are the only ones
// that the program may see.
#pragma once

#include <string>
#include <vector>

namespace flexai::backend::cuda {

/// Of CUDA_VISIBLE_DEVICES, as a program in a slice shall see it.
struct VisibleCards {
  std::string list;      // what the driver shall read; empty = no card
  std::string sentence;  // for the person who chose what the slice does not have; mostly empty
};

/// `chosen` is what the program's own environment says (null = nothing): by index or by (the
/// beginning of) a name, it chooses among the slice's cards, whose `uuids` are given.
VisibleCards ChooseVisible(const char* chosen, const std::vector<std::string>& uuids);

/// Sets this process's environment: the cards, and no other way to share them.
void ShowCardsOfSlice(const std::vector<std::string>& uuids);

}  // namespace flexai::backend::cuda
