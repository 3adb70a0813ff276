#include "flexai/backend/nvidia/fake_cards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <sstream>

#include "flexai/base/log.h"

namespace flexai::backend::nvidia::fake_driver {
namespace {

constexpr char kUuid[17] = "flexai-fake-card";  // the first card's

// -1 where the entry names no card, or several.
int CardOfEntry(const std::string& entry) {
  int found = -1;
  // Blanks and a sign may come first.
  char* end = nullptr;
  const long number = strtol(entry.c_str(), &end, 10);
  const bool is_number =
      end != entry.c_str() &&
      entry.find_first_not_of(" \t", static_cast<size_t>(end - entry.c_str())) == entry.npos;
  if (is_number) return number >= 0 && number < CardCount() ? static_cast<int>(number) : -1;
  for (int card = 0; card < CardCount(); ++card) {
    if (entry.size() <= 4 || UuidOfCard(card).compare(0, entry.size(), entry) != 0) continue;
    if (found >= 0) return -1;
    found = card;
  }
  return found;
}

}  // namespace

int CardCount() {
  static const int count = [] {
    const char* text = getenv("FLEXAI_FAKE_CARDS");
    if (!text || !*text) return 1;
    char* end = nullptr;
    const long asked = strtol(text, &end, 10);
    if (*end == 0 && asked >= 1 && asked <= kMostCards) return static_cast<int>(asked);
    Notice("FLEXAI_FAKE_CARDS=%s is no number from 1 to %d; 1 is used", text, kMostCards);
    return 1;
  }();
  return count;
}

CardName NameOfCard(int card) {
  CardName name = {{}, 0, 1 + card, 0};
  memcpy(name.uuid, kUuid, sizeof(name.uuid));
  name.uuid[15] = static_cast<uint8_t>(name.uuid[15] + card);
  return name;
}

std::string UuidOfCard(int card) {
  const CardName name = NameOfCard(card);
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    char byte[4];
    const bool begins_group = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    snprintf(byte, sizeof(byte), "%s%02x", begins_group ? "-" : "", name.uuid[i]);
    text += byte;
  }
  return text;
}

std::vector<int> CardsInList(const char* list) {
  std::vector<int> cards;
  for (int card = 0; !list && card < CardCount(); ++card) cards.push_back(card);
  std::istringstream entries(list ? list : "");
  for (std::string entry; std::getline(entries, entry, ',');) {
    const int card = CardOfEntry(entry);
    if (card < 0 || std::find(cards.begin(), cards.end(), card) != cards.end()) break;
    cards.push_back(card);
  }
  return cards;
}

}  // namespace flexai::backend::nvidia::fake_driver
