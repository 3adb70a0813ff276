// The fake cards of this host: how many, what they are called, and which of them a process sees.
// The driver, its kernel module and the management library all ask here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flexai::backend::nvidia::fake_driver {

inline constexpr int kMostCards = 8;

/// What FLEXAI_FAKE_CARDS says; 1 without it.
int CardCount();

/// By what the vendor's libraries know a card.
struct CardName {
  uint8_t uuid[16];
  int32_t domain, bus, device;  // on PCI
};
CardName NameOfCard(int card);
/// Its UUID as text, which begins with GPU-.
std::string UuidOfCard(int card);

/// The cards that a list such as that of CUDA_VISIBLE_DEVICES leaves, in its order; null leaves
/// all. It ends at the first entry that names no card, several, or one that was named already.
std::vector<int> CardsInList(const char* list);

}  // namespace flexai::backend::nvidia::fake_driver
