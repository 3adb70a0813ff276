#include "flexai/backend/cuda/visible_card.h"

#include <stdlib.h>

#include <algorithm>
#include <iterator>

#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

bool Begins(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

constexpr char kBlanks[] = " \t\n\v\f\r";

std::string WithoutBlanks(const std::string& text) {
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// As the driver reads an entry: a sign may come first. False: it is no number.
bool ReadNumber(const std::string& text, long* number) {
  char* end = nullptr;
  *number = strtol(text.c_str(), &end, 10);
  return end != text.c_str() && *end == 0;
}

// The card that an entry of the list names; empty where the slice has none such.
std::string Named(const std::string& entry, const std::vector<std::string>& uuids) {
  long index = 0;
  if (ReadNumber(entry, &index)) {
    const bool has = index >= 0 && static_cast<size_t>(index) < uuids.size();
    return has ? uuids[static_cast<size_t>(index)] : "";
  }
  const auto found = std::find_if(uuids.begin(), uuids.end(), [&](const std::string& uuid) {
    return entry.size() > 4 && Begins(uuid, entry);
  });
  return found == uuids.end() ? "" : *found;
}

}  // namespace

VisibleCards ChooseVisible(const char* chosen, const std::vector<std::string>& uuids) {
  VisibleCards cards;
  // A card of another kind is none that this driver can show.
  std::vector<std::string> ours;
  std::copy_if(uuids.begin(), uuids.end(), std::back_inserter(ours),
               [](const std::string& uuid) { return Begins(uuid, "GPU-"); });
  if (ours.empty()) return cards;
  std::string rest = chosen ? chosen : "";
  for (size_t i = 0; !chosen && i < ours.size(); ++i) rest += (i ? "," : "") + ours[i];
  const std::string first = WithoutBlanks(rest.substr(0, rest.find(',')));
  // As the driver does, up to the first entry that is none, or was there before.
  while (!rest.empty()) {
    const std::string entry = rest.substr(0, rest.find(','));
    rest.erase(0, std::min(entry.size() + 1, rest.size()));
    const std::string card = Named(WithoutBlanks(entry), ours);
    if (card.empty() || cards.list.find(card) != std::string::npos) break;
    cards.list += (cards.list.empty() ? "" : ",") + card;
  }
  // Nothing, -1 and the like hide all cards on purpose.
  if (!cards.list.empty()) return cards;
  long number = 0;
  const bool chose = ReadNumber(first, &number) && number >= 0;
  if (!chose && !Begins(first, "GPU-") && !Begins(first, "MIG-")) return cards;
  const std::string last = std::to_string(ours.size() - 1);
  cards.sentence = "CUDA_VISIBLE_DEVICES=" + std::string(chosen) +
                   " names no card of this slice, so the program sees none; the slice has " +
                   (ours.size() == 1 ? "one, number 0" : "those with the numbers 0 to " + last) +
                   ": unset the variable, and choose the card with flexai run --card";
  return cards;
}

void ShowCardsOfSlice(const std::vector<std::string>& uuids) {
  const VisibleCards cards = ChooseVisible(getenv("CUDA_VISIBLE_DEVICES"), uuids);
  if (!cards.sentence.empty()) Notice("%s", cards.sentence.c_str());
  setenv("CUDA_VISIBLE_DEVICES", cards.list.c_str(), 1);
  // Work that a server of MPS does for us is not ours to stop. Where no daemon is found, the driver
  // goes on without.
  setenv("CUDA_MPS_PIPE_DIRECTORY", "/nonexistent/slices-share-without-mps", 1);
}

}  // namespace flexai::backend::cuda
