#include "apps/flexai/top_view.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/flexai/output.h"
#include "apps/flexai/tables.h"
#include "flexai/model/units.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

constexpr size_t kBar = 20;

const char* SortField(SortBy sort) {
  switch (sort) {
    case SortBy::kReceived:
      return "compute_received_ratio";
    case SortBy::kMemory:
      return "memory_used_bytes";
    case SortBy::kShare:
      return "share_permille";
    default:
      return nullptr;
  }
}

// "[||||||......        ]": filled what was received, dots what is granted and not used.
std::string Bar(double received, double granted) {
  const auto cells = [](double part) {
    return static_cast<size_t>(std::lround(std::clamp(part, 0.0, 1.0) * kBar));
  };
  const size_t filled = cells(received);
  const size_t dotted = std::max(cells(granted), filled) - filled;
  return "[" + std::string(filled, '|') + std::string(dotted, '.') +
         std::string(kBar - filled - dotted, ' ') + "]";
}

std::string CardLine(const json& card, size_t width) {
  const double received = NumberField(card, "compute_received_ratio");
  const double granted = NumberField(card, "share_granted_permille") / 1000;
  const std::string rest =
      " " + Bar(received, granted) + " " + FormatRatio(received) + "  " +
      UsedOf(BytesField(card, "memory_used_bytes"), BytesField(card, "memory_total_bytes"));
  const std::string head = "card " + TextField(card, "card") + " ";
  const size_t room = width > rest.size() + head.size() ? width - rest.size() - head.size() : 4;
  std::string model = Shorten(TextField(card, "model"), std::min<size_t>(room, 32));
  model.append(std::min<size_t>(room, 32) - Width(model), ' ');
  return Shorten(head + model + rest, width);
}

std::string Coloured(const TopState& state, const char* code, const std::string& text) {
  return state.colour ? "\033[" + std::string(code) + "m" + text + "\033[0m" : text;
}

void AppendHelp(std::string* text) {
  *text +=
      "\nkeys\n"
      "  up, down  choose a slice\n"
      "  p         pause the chosen slice, or resume it\n"
      "  s         sort by slice, received, memory, share\n"
      "  h         this help\n"
      "  q         leave\n";
}

std::string Cut(const std::string& text, size_t height) {
  if (height == 0) return text;
  size_t end = 0;
  for (size_t line = 0; line < height && end < text.size(); ++line) {
    end = std::min(text.find('\n', end), text.size() - 1) + 1;
  }
  return text.substr(0, end);
}

}  // namespace

const char* SortName(SortBy sort) {
  constexpr const char* kNames[] = {"slice", "received", "memory", "share"};
  return kNames[static_cast<size_t>(sort)];
}

SortBy NextSort(SortBy sort) { return static_cast<SortBy>((static_cast<int>(sort) + 1) % 4); }

json SortedSlices(const json& status, SortBy sort) {
  json slices = ListField(status, "slices");
  const char* field = SortField(sort);
  std::stable_sort(slices.begin(), slices.end(), [field](const json& a, const json& b) {
    if (!field) return TextField(a, "slice") < TextField(b, "slice");
    return NumberField(a, field) > NumberField(b, field);
  });
  return slices;
}

std::string TopScreen(const json& status, const TopState& state) {
  const json slices = SortedSlices(status, state.sort);
  const size_t count = SliceNames(status).size();
  std::string text = "flexai " + TextField(status, "version") + "  " + std::to_string(count) +
                     (count == 1 ? " slice" : " slices") + "  " +
                     std::to_string(ListField(status, "waiting").size()) + " waiting  sorted by " +
                     SortName(state.sort) + "\n\n";
  for (const json& card : ListField(status, "cards")) text += CardLine(card, state.width) + "\n";
  text += "\n";
  if (slices.empty()) {
    text += "no slices: start one with flexai run --share 30% -- PROGRAM\n";
  } else {
    const std::string table = SliceTable(slices, false).Render(state.width);
    size_t line = 0;
    for (size_t at = 0; at < table.size(); ++line) {
      const size_t end = table.find('\n', at);
      const std::string row = table.substr(at, end - at);
      const bool selected = state.height > 0 && line == state.selected + 1;
      text += (line == 0  ? Coloured(state, "1", row)
               : selected ? Coloured(state, "7", row)
                          : row) +
              "\n";
      at = end + 1;
    }
  }
  std::string remarks = Remarks(status);
  for (size_t at = 0; at < remarks.size();) {
    const size_t end = remarks.find('\n', at);
    if (at == 0) text += "\n";
    text += Coloured(state, "33", Shorten(remarks.substr(at, end - at), state.width)) + "\n";
    at = end + 1;
  }
  if (state.help) AppendHelp(&text);
  if (!state.message.empty()) text += "\n" + Shorten(state.message, state.width) + "\n";
  return Cut(text, state.height);
}

}  // namespace flexai::cli
