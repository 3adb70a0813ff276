// flexai doctor: everything that can be wrong on this machine, each with its cure.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/doctor_checks.h"
#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

// Whether cards are there, and none of them needs what belongs to `backend`.
bool IsUnneeded(const Result<json>& status, std::string_view backend) {
  if (!status.ok()) return false;
  const json cards = ListField(*status, "cards");
  return !cards.empty() && std::none_of(cards.begin(), cards.end(), [&](const json& card) {
    return TextField(card, "backend") == backend;
  });
}

// What no card of this machine needs is no failure.
Finding IfNeeded(const Result<json>& status, std::string_view backend, Finding finding) {
  if (finding.verdict != Verdict::kFail || !IsUnneeded(status, backend)) return finding;
  finding.verdict = Verdict::kWarn;
  finding.found += "; no card of this machine needs it";
  return finding;
}

// How programs are reached.
std::vector<Finding> ExamineWays(const Result<json>& status) {
  std::vector<Finding> all;
  for (const WayIn& way : WaysIn()) {
    const char* list = getenv(std::string(way.variable).c_str());
    all.push_back(IfNeeded(status, way.backend, CheckLoader(way)));
    const std::string drivers(way.drivers);
    all.push_back(IfNeeded(status, way.backend, CheckDrivers(way, drivers)));
    all.push_back(CheckLayerFile(way));  // every program gets it
    all.push_back(CheckLayerList(way, list ? list : ""));
  }
  for (const Preload& preload : Preloads()) {
    all.push_back(IfNeeded(status, preload.backend, CheckPreloaded(preload)));
  }
  return all;
}

bool IsProbing(const json& status) {
  const json cards = ListField(status, "cards");
  return std::any_of(cards.begin(), cards.end(), [](const json& card) {
    const auto levers = card.find("levers");
    return levers != card.end() && levers->is_object() && TextField(*levers, "state") == "probing";
  });
}

// Has the daemon try the levers of all cards anew, and waits for what it finds: it ends what takes
// too long.
Status ProbeAnew() {
  const Result<json> asked = Ask({{"op", "probe"}});
  if (!asked.ok()) return asked.status();
  for (;;) {
    const Result<json> status = Ask({{"op", "status"}});
    if (!status.ok()) return status.status();
    if (!IsProbing(*status)) return Status();
    poll(nullptr, 0, 50);
  }
}

std::vector<Finding> Examine() {
  const Result<json> status = Ask({{"op", "status"}});
  std::vector<Finding> findings = {CheckCLibrary()};
  for (Finding& finding : ExamineWays(status)) findings.push_back(std::move(finding));
  findings.push_back(CheckPreload());
  findings.push_back(CheckDaemon(status));
  if (status.ok()) {
    findings.push_back(CheckVersion(*status));
    findings.push_back(CheckCards(*status));
    for (Finding& finding : CheckUnshared(*status)) findings.push_back(std::move(finding));
    for (const json& card : ListField(*status, "cards")) {
      // On the host's own cores nothing of this depends on a driver.
      if (TextField(card, "kind") == "cpu") continue;
      for (const auto check : {CheckLever, CheckProbe, CheckCardTime, CheckDriver}) {
        findings.push_back(check(card));
      }
    }
    findings.push_back(CheckLeftovers(*status));
  }
  findings.push_back(CheckNamespaces());
  findings.push_back(CheckCgroup());
  findings.push_back(CheckOpenFiles());
  findings.push_back(CheckLockedMemory());
  return findings;
}

std::string AsText(const std::vector<Finding>& findings) {
  const bool colour = UsesColour(STDOUT_FILENO);
  constexpr const char* kCodes[] = {"32", "33", "31"};
  std::string text;
  for (const Finding& finding : findings) {
    std::string verdict(VerdictName(finding.verdict));
    if (colour) {
      verdict = "\033[" + std::string(kCodes[static_cast<size_t>(finding.verdict)]) + "m" +
                verdict + "\033[0m";
    }
    std::string check = finding.check;
    check.resize(std::max<size_t>(check.size(), 16), ' ');
    text += verdict + "  " + check + "  " + Printable(finding.found) + "\n";
    if (!finding.cure.empty()) text += "        cure: " + Printable(finding.cure) + "\n";
  }
  return text;
}

json AsJson(const std::vector<Finding>& findings, bool healthy) {
  json checks = json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"check", finding.check},
                      {"verdict", VerdictName(finding.verdict)},
                      {"found", finding.found},
                      {"cure", finding.cure}});
  }
  return {{"healthy", healthy}, {"checks", checks}};
}

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  if (arguments.Has("probe")) {
    const Status probed = ProbeAnew();
    if (!probed.ok()) return Complain(probed, ExitCode(probed));
  }
  const std::vector<Finding> findings = Examine();
  size_t failed = 0, warned = 0;
  for (const Finding& finding : findings) {
    failed += finding.verdict == Verdict::kFail;
    warned += finding.verdict == Verdict::kWarn;
  }
  std::string text;
  if (*format == Format::kJson) {
    text = ToJson(AsJson(findings, failed == 0));
  } else if (*format == Format::kYaml) {
    text = ToYaml(AsJson(findings, failed == 0));
  } else {
    text = AsText(findings) + "\n" + std::to_string(findings.size()) + " checks, " +
           std::to_string(failed) + " failed, " + std::to_string(warned) + " warnings\n";
  }
  if (!Print(text)) return kFailed;
  return failed == 0 ? kDone : kFailed;
}

}  // namespace

Command DoctorCommand() {
  return {
      .name = "doctor",
      .summary = "Check this machine and say how to mend what is wrong",
      .details =
          "Exits with 1 when a check fails; warnings alone do not count.\n\n"
          "What was found of a card's levers is remembered until its driver changes or the "
          "machine\nstarts anew. --probe tries them again: it needs a daemon, its user or root, "
          "and stops\nwhoever computes on the card for some milliseconds.",
      .options = {{"probe", nullptr, "first try anew whether cards stop what runs when told to"},
                  {"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {},
      .act = Act,
  };
}

}  // namespace flexai::cli
