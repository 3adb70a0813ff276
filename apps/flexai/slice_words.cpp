#include "apps/flexai/slice_words.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "apps/flexai/output.h"
#include "flexai/slice/attach.h"

namespace flexai::cli {

using nlohmann::json;

Result<model::SliceSpec> ParseSpec(const Arguments& arguments) {
  model::SliceSpec spec;
  if (arguments.Has("share")) {
    Result<model::Permille> share = model::ParsePercent("share", arguments.Text("share"));
    if (!share.ok()) return share.status();
    spec.share = *share;
  }
  spec.limit = spec.share;
  if (arguments.Has("limit")) {
    Result<model::Permille> limit = model::ParsePercent("limit", arguments.Text("limit"));
    if (!limit.ok()) return limit.status();
    spec.limit = *limit;
  }
  if (arguments.Has("memory")) {
    Result<model::Bytes> memory = model::ParseBytes("memory", arguments.Text("memory"));
    if (!memory.ok()) return memory.status();
    spec.memory = *memory;
  }
  if (arguments.Has("priority")) {
    Result<model::Priority> priority = model::ParsePriority(arguments.Text("priority"));
    if (!priority.ok()) return priority.status();
    spec.priority = *priority;
  }
  spec.card = arguments.Text("card", "auto");
  const auto named = static_cast<int>(std::count(spec.card.begin(), spec.card.end(), ',')) + 1;
  spec.cards = named;
  if (arguments.Has("cards")) {
    const std::string text = arguments.Text("cards");
    const auto read = std::from_chars(text.data(), text.data() + text.size(), spec.cards);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
      return Status(Code::kInvalidArgument, "cards '" + text + "' is not a number",
                    "write a number such as --cards 2");
    }
    if (spec.card != "auto" && spec.cards != named) {
      return Status(Code::kInvalidArgument,
                    "--card names " + std::to_string(named) + " of " + text + " cards",
                    "name as many as --cards says, or leave one of the two out");
    }
  }
  FLEXAI_RETURN_IF_ERROR(model::CheckSpec(spec));
  return spec;
}

json ToRequest(const model::SliceSpec& spec) {
  return {{"share_permille", spec.share},
          {"limit_permille", spec.limit},
          {"memory_limit_bytes", spec.memory},
          {"card", spec.card},
          {"cards", spec.cards},
          {"priority", std::string(model::PriorityName(spec.priority))}};
}

std::vector<std::string> OfEachCard(const json& slice, const char* field) {
  const json parts = ListField(slice, "parts");
  if (parts.empty()) return {TextField(slice, field)};
  std::vector<std::string> all;
  for (const json& part : parts) all.push_back(TextField(part, field));
  return all;
}

std::string Promise(const json& slice, const std::string& model) {
  const auto share = static_cast<model::Permille>(NumberField(slice, "share_permille"));
  const auto limit = static_cast<model::Permille>(NumberField(slice, "limit_permille"));
  const std::vector<std::string> cards = OfEachCard(slice, "card");
  std::string text = cards.size() > 1 ? "cards " : "card ";
  for (const std::string& card : cards) text += (&card == &cards.front() ? "" : ", ") + card;
  if (!model.empty()) text += " (" + model + ")";
  text += ", " + std::string(cards.size() > 1 ? "of each " : "") + model::FormatPercent(share) +
          " compute";
  if (limit > share) text += " (up to " + model::FormatPercent(limit) + ")";
  text += ", " + model::FormatBytes(BytesField(slice, "memory_limit_bytes"));
  return text + ", slice " + TextField(slice, "slice");
}

std::string SliceVariable(const json& granted, pid_t leader) {
  model::SliceSpec spec;
  spec.share = static_cast<model::Permille>(NumberField(granted, "share_permille"));
  spec.limit = static_cast<model::Permille>(NumberField(granted, "limit_permille"));
  spec.memory = BytesField(granted, "memory_limit_bytes");
  const auto priority = model::ParsePriority(TextField(granted, "priority"));
  if (priority.ok()) spec.priority = *priority;
  spec.cards = static_cast<int>(NumberField(granted, "cards", 1));
  return slice::WriteSliceVariable(TextField(granted, "slice"), spec, leader);
}

}  // namespace flexai::cli
