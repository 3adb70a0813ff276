// What `flexai doctor` says of how a card's shares are held: the lever, the truth that it is
// steered by, and the driver.
#include <nlohmann/json.hpp>

#include "apps/flexai/doctor_checks.h"
#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string About(const json& card, const char* what) {
  return "card " + TextField(card, "card") + " " + what;
}

}  // namespace

std::vector<Finding> CheckUnshared(const json& status) {
  // Where others can be shared it is a choice that people may have made.
  const Verdict verdict = ListField(status, "cards").empty() ? Verdict::kFail : Verdict::kWarn;
  std::vector<Finding> findings;
  for (const json& one : ListField(status, "unshared")) {
    findings.push_back({"not shared", verdict, TextField(one, "why"), TextField(one, "cure")});
  }
  return findings;
}

Finding CheckLever(const json& card) {
  const std::string check = About(card, "lever");
  const std::string lever = TextField(card, "lever");
  if (lever == "freeze") {
    return {check, Verdict::kPass,
            "freeze: whoever is out of turn is stopped in the middle of what runs", ""};
  }
  if (lever == "gate") {
    return {check, Verdict::kWarn,
            "gate: whoever is out of turn may launch nothing new, what runs goes on",
            "the driver does not stop this program's work, and shares are held less exactly; the "
            "program's notices say why"};
  }
  return {check, Verdict::kPass, "not known yet: each program tries it when it first computes", ""};
}

// What was tried of the levers before any program needed them.
Finding CheckProbe(const json& card) {
  const std::string check = About(card, "probe");
  const auto levers = card.find("levers");
  if (levers == card.end() || !levers->is_object()) {
    return {check, Verdict::kPass, "there are no levers to try", ""};
  }
  const std::string state = TextField(*levers, "state");
  if (state == "probing") {
    return {check, Verdict::kPass, "the levers are being tried: ask again in some seconds", ""};
  }
  if (state != "probed") {
    return {check, Verdict::kWarn, "the levers were not tried: " + TextField(*levers, "not_probed"),
            "programs try them when they first compute, and notice only what the driver refuses; "
            "flexai doctor --probe tries them again"};
  }
  std::string held, dropped;
  for (const json& lever : ListField(*levers, "levers")) {
    const auto holds = lever.find("holds");
    const bool is_held = holds != lever.end() && holds->is_boolean() && holds->get<bool>();
    std::string& list = is_held ? held : dropped;
    list +=
        (list.empty() ? "" : "; ") + TextField(lever, "lever") + ": " + TextField(lever, "found");
  }
  const std::string when = "tried at " + TextField(*levers, "probed_at") + " with driver " +
                           TextField(*levers, "driver");
  if (dropped.empty()) return {check, Verdict::kPass, when + "; " + held, ""};
  return {check, Verdict::kWarn,
          when + "; not used, " + dropped + (held.empty() ? "" : "; held, ") + held,
          "programs do without: shares are held less exactly; flexai doctor --probe tries again "
          "once the driver is another one"};
}

Finding CheckCardTime(const json& card) {
  const std::string check = About(card, "time");
  const auto refused = card.find("trace_refused");
  if (refused == card.end() || !refused->is_string()) {
    return {check, Verdict::kPass, "charged by the clock: no record of the driver is known", ""};
  }
  const std::string why = refused->get<std::string>();
  if (why.empty()) {
    return {check, Verdict::kPass, "charged by the driver's record of who had the card", ""};
  }
  return {check, Verdict::kWarn, "charged by the clock; " + why,
          "limits and turns hold without it, a little less exactly; to have it, run flexaid as "
          "root and outside of containers"};
}

Finding CheckDriver(const json& card) {
  const std::string check = About(card, "driver");
  const std::string driver = TextField(card, "driver");
  const std::string tried = TextField(card, "driver_tried");
  if (tried.empty() || driver == tried) {
    return {check, Verdict::kPass,
            driver + (tried.empty() ? "" : ": the version with which the figures were taken"), ""};
  }
  return {check, Verdict::kWarn, driver + " is untried: the figures were taken with " + tried,
          "memory is limited all the same; the lever and the time above say whether shares are "
          "exact with it, and each program falls back to the gate by itself where they are not"};
}

}  // namespace flexai::cli
