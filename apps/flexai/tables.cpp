#include "apps/flexai/tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flexai/model/units.h"
#include "flexai/operate/json_text.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string Share(const json& object, const char* name) {
  return model::FormatPercent(static_cast<model::Permille>(NumberField(object, name)));
}

// "-" where the daemon does not know: an invented 0 would look like a measurement.
std::string Ratio(const json& object, const char* name) {
  const double ratio = NumberField(object, name, -1);
  return ratio < 0 ? "-" : FormatRatio(ratio);
}

std::string Whole(const json& object, const char* name) {
  return std::to_string(BytesField(object, name));
}

}  // namespace

std::string UsedOf(uint64_t used, uint64_t total) {
  const std::string left = model::FormatBytes(used);
  const std::string right = model::FormatBytes(total);
  const size_t left_unit = left.rfind(' ');
  const size_t right_unit = right.rfind(' ');
  if (left.substr(left_unit) == right.substr(right_unit))
    return left.substr(0, left_unit) + "/" + right;
  return left + "/" + right;
}

Table CardTable(const json& status, bool wide) {
  Table table;
  table.Left("CARD").Left("MODEL").Right("GRANTED").Right("RECEIVED").Right("MEM USED/TOTAL");
  table.Right("SLICES");
  if (wide) {
    table.Right("MEM GRANTED").Left("KIND").Left("BACKEND").Right("UNITS").Left("LEVER");
    table.Left("VENDOR").Left("DRIVER").Left("UUID");
  }
  for (const json& card : ListField(status, "cards")) {
    const std::string name = TextField(card, "model");
    std::vector<std::string> row = {
        TextField(card, "card"),
        wide ? name : Shorten(name, 24),
        Share(card, "share_granted_permille"),
        Ratio(card, "compute_received_ratio"),
        UsedOf(BytesField(card, "memory_used_bytes"), BytesField(card, "memory_total_bytes")),
        Whole(card, "slices")};
    if (wide) {
      row.insert(
          row.end(),
          {model::FormatBytes(BytesField(card, "memory_granted_bytes")), TextField(card, "kind"),
           TextField(card, "backend"), Whole(card, "compute_units"), TextField(card, "lever"),
           TextField(card, "vendor"), TextField(card, "driver"), TextField(card, "uuid")});
    }
    table.Row(std::move(row));
  }
  return table;
}

Table SliceTable(const json& slices, bool wide) {
  // Of several cards a slice has a row for each.
  const bool by_card = std::any_of(slices.begin(), slices.end(), [](const json& slice) {
    return NumberField(slice, "cards", 1) > 1;
  });
  Table table;
  table.Left("SLICE");
  if (by_card && !wide) table.Left("CARD");
  table.Left("OWNER").Left("STATE").Right("SHARE").Right("LIMIT").Right("RECEIVED");
  table.Right("MEM USED/LIMIT");
  if (wide) {
    table.Left("CARD").Left("PRIORITY").Right("MEM PEAK").Right("THROTTLED").Right("REFUSED");
    table.Right("PIDS").Right("LEADER").Right("AGE");
  }
  table.Left("COMMAND");
  for (const json& slice : slices) {
    const std::string owner = TextField(slice, "owner");
    std::vector<std::string> row = {
        TextField(slice, "slice"),
        wide ? owner : Shorten(owner, 8),
        TextField(slice, "state"),
        Share(slice, "share_permille"),
        Share(slice, "limit_permille"),
        Ratio(slice, "compute_received_ratio"),
        UsedOf(BytesField(slice, "memory_used_bytes"), BytesField(slice, "memory_limit_bytes"))};
    if (by_card && !wide) row.insert(row.begin() + 1, TextField(slice, "card"));
    if (wide) {
      row.insert(row.end(), {TextField(slice, "card"), TextField(slice, "priority"),
                             model::FormatBytes(BytesField(slice, "memory_peak_bytes")),
                             FormatSeconds(NumberField(slice, "throttled_seconds")),
                             Whole(slice, "refused_allocations"),
                             std::to_string(ListField(slice, "processes").size()),
                             TextField(slice, "leader_pid"),
                             FormatSeconds(NumberField(slice, "age_seconds"))});
    }
    row.push_back(TextField(slice, "command"));
    table.Row(std::move(row));
  }
  return table;
}

std::vector<std::string> SliceNames(const json& status) {
  std::vector<std::string> names;
  for (const json& slice : ListField(status, "slices")) names.push_back(TextField(slice, "slice"));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string NotShared(const json& status) {
  std::string text;
  for (const json& one : ListField(status, "unshared")) {
    text += "not shared: " + TextField(one, "why") + "; " + TextField(one, "cure") + "\n";
  }
  return text;
}

std::string Remarks(const json& status) {
  std::string text;
  for (const json& waiting : ListField(status, "waiting")) {
    text += "waiting: " + TextField(waiting, "command") + ": ";
    const std::string reason = TextField(waiting, "reason");
    text += reason.empty() ? "asks for " + Share(waiting, "share_permille") : reason;
    text += "\n";
  }
  for (const json& warning : ListField(status, "warnings")) {
    text +=
        "warning: " +
        Printable(warning.is_string() ? warning.get<std::string>() : operate::JsonText(warning)) +
        "\n";
  }
  for (const json& slice : ListField(status, "slices")) {
    for (const json& warning : ListField(slice, "warnings")) {
      if (!warning.is_string()) continue;
      text += "warning: " + TextField(slice, "slice") + ": " +
              Printable(warning.get<std::string>()) + "\n";
    }
  }
  return text;
}

}  // namespace flexai::cli
