#include "flexai/operate/lever_book.h"

#include <sys/types.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "flexai/operate/json_text.h"
#include "flexai/operate/kept_file.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr off_t kMostBytes = 1 << 20;
constexpr size_t kMostText = 400;
constexpr const char* kFile = "levers.json";

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string Text(const json& j, const char* name) {
  const auto found = j.is_object() ? j.find(name) : j.end();
  if (found == j.end() || !found->is_string()) return "";
  return found->get<std::string>().substr(0, kMostText);
}

}  // namespace

uint32_t Dropped(const device::ProbeResult& result) {
  uint32_t dropped = 0;
  for (const device::LeverFinding& finding : result.levers) {
    if (!finding.holds) dropped |= finding.lever;
  }
  return dropped;
}

json ToJson(const device::ProbeResult& result) {
  json levers = json::array();
  for (const device::LeverFinding& finding : result.levers) {
    for (const device::LeverName& known : device::kLeverNames) {
      if (known.lever != finding.lever) continue;
      levers.push_back({{"lever", known.name}, {"holds", finding.holds}, {"found", finding.found}});
    }
  }
  return {{"not_probed", result.not_probed}, {"levers", levers}};
}

Result<device::ProbeResult> ProbeFromJson(const json& j) {
  const auto levers = j.is_object() ? j.find("levers") : j.end();
  if (levers == j.end() || !levers->is_array()) {
    return Status(Code::kDataLoss, "no result of a probe");
  }
  device::ProbeResult result;
  result.not_probed = Text(j, "not_probed");
  for (const json& each : *levers) {
    const auto holds = each.is_object() ? each.find("holds") : each.end();
    if (holds == each.end() || !holds->is_boolean()) {
      return Status(Code::kDataLoss, "a lever that neither holds nor does not");
    }
    for (const device::LeverName& known : device::kLeverNames) {
      if (known.name != Text(each, "lever")) continue;
      result.levers.push_back({known.lever, holds->get<bool>(), Text(each, "found")});
    }
  }
  return result;
}

LeverBook::LeverBook(std::string folder, std::string version)
    : folder_(std::move(folder)), version_(std::move(version)) {}

json LeverBook::Key(const model::Card& card) const {
  return {{"card", card.uuid},     {"model", card.model},
          {"driver", card.driver}, {"identity", card.driver_identity},
          {"boot", BootId()},      {"flexai", version_}};
}

json LeverBook::Read() const {
  if (folder_.empty()) return json::array();
  const std::string text = ReadKept(folder_ + "/" + kFile, kMostBytes);
  const json all = ParseJson(text);
  if (!all.is_object() || all.value("format", json()) != json(kFormat)) return json::array();
  const auto cards = all.find("cards");
  return cards != all.end() && cards->is_array() ? *cards : json::array();
}

std::optional<LeverRecord> LeverBook::Find(const model::Card& card) const {
  const json key = Key(card);
  for (const json& entry : Read()) {
    if (!entry.is_object() || entry.value("key", json()) != key) continue;
    const auto result = ProbeFromJson(entry);
    const auto at = entry.find("at");
    if (!result.ok() || at == entry.end() || !at->is_number_integer()) continue;
    return LeverRecord{*result, at->get<int64_t>()};
  }
  return std::nullopt;
}

Status LeverBook::Keep(const model::Card& card, const LeverRecord& record) const {
  if (folder_.empty()) return Status();
  json cards = json::array();
  for (json& entry : Read()) {
    const auto key = entry.is_object() ? entry.find("key") : entry.end();
    if (key != entry.end() && Text(*key, "card") != card.uuid) cards.push_back(std::move(entry));
  }
  json entry = ToJson(record.result);
  entry["key"] = Key(card);
  entry["at"] = record.at;
  cards.push_back(std::move(entry));
  const json all = {{"format", kFormat}, {"cards", cards}};
  const std::string text = JsonText(all, 1) + "\n";
  return WriteKept(folder_, kFile, text);
}

}  // namespace flexai::operate
