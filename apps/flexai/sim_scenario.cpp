#include "apps/flexai/sim_scenario.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/flexai/sim_words.h"
#include "apps/flexai/text_file.h"
#include "flexai/schedule/sim/scenario.h"
#include "flexai/schedule/sim/scenario_run.h"

namespace flexai::cli {
namespace {

using nlohmann::json;
using namespace schedule::sim;

std::string NodesOf(const Scenario& scenario, const Outcome& job) {
  std::string text;
  std::string last;
  for (const schedule::Placement& place : job.places) {
    std::string name = scenario.nodes[place.node].name;
    if (place.host != schedule::kSameNode) {
      name += " (CPU: " + scenario.nodes[place.host].name + ")";
    }
    if (name == last) continue;
    text += (text.empty() ? "" : ",") + name;
    last = name;
  }
  return text.empty() ? "-" : text;
}

std::string TimeOf(int64_t time_s) { return time_s == -1 ? "-" : std::to_string(time_s); }

json AsJson(const Scenario& scenario, const ScenarioResult& result) {
  json jobs = json::array();
  for (size_t i = 0; i < result.jobs.size(); ++i) {
    const Outcome& job = result.jobs[i];
    json one = {{"name", scenario.jobs[i].name},
                {"state", job.state},
                {"tasks_placed", job.places.size()},
                {"nodes", json::array()},
                {"share_percent", job.share / 10.0},
                {"evictions", job.evictions},
                {"moves", job.moves},
                {"suspensions", job.suspensions}};
    for (const schedule::Placement& place : job.places) {
      one["nodes"].push_back(scenario.nodes[place.node].name);
      if (place.host != schedule::kSameNode) {
        one["hosts"].push_back(scenario.nodes[place.host].name);
      }
    }
    if (job.started_s != -1) one["started_seconds"] = job.started_s;
    if (job.ended_s != -1) one["ended_seconds"] = job.ended_s;
    if (!job.why.code.empty()) {
      one["waits"] = {{"code", job.why.code},
                      {"sentence", job.why.sentence},
                      {"remedy", job.why.remedy},
                      {"cards", job.why.cards}};
    }
    jobs.push_back(std::move(one));
  }
  json missed = json::array();
  for (const Miss& miss : result.missed)
    missed.push_back({{"line", miss.line}, {"reason", miss.reason}});
  return {{"title", scenario.title},
          {"ended_at_seconds", result.ended_at_s},
          {"rounds", result.rounds},
          {"evictions", result.evictions},
          {"moves", result.moves},
          {"suspensions", result.suspensions},
          {"expectations", scenario.expectations.size()},
          {"missed", missed},
          {"jobs", jobs}};
}

std::string AsText(const Scenario& scenario, const ScenarioResult& result) {
  Table table;
  table.Left("JOB").Left("STATE").Right("TASKS").Left("NODES").Right("SHARE").Right("STARTED");
  table.Right("ENDED");
  std::string reasons;
  for (size_t i = 0; i < result.jobs.size(); ++i) {
    const Outcome& job = result.jobs[i];
    const std::string name = Printable(scenario.jobs[i].name);
    table.Row({name, job.state, std::to_string(job.places.size()),
               Printable(NodesOf(scenario, job)),
               job.places.empty() ? "-" : std::to_string(job.share / 10) + " %",
               TimeOf(job.started_s), TimeOf(job.ended_s)});
    if (job.why.code.empty()) continue;
    reasons += "\n" + name + " waits (" + job.why.code + "): " + Printable(job.why.sentence) +
               ".\n  It would run with: " + Printable(job.why.remedy) + ".\n";
    for (const std::string& line : job.why.cards) reasons += "  " + Printable(line) + "\n";
  }
  return table.Render() + reasons + "\n" + std::to_string(result.rounds) + " rounds, " +
         std::to_string(result.evictions) + " evictions, " + std::to_string(result.moves) +
         " moves, " + std::to_string(result.suspensions) + " suspensions\n" +
         std::to_string(scenario.expectations.size()) + " expectations, " +
         std::to_string(result.missed.size()) + " missed\n";
}

Result<Scenario> ReadFile(const std::string& path, bool skip) {
  const Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  Result<Scenario> scenario = ReadScenario(*text);
  if (!scenario.ok()) {
    return Status(scenario.status().code(), path + ":" + std::string(scenario.status().message()),
                  "docs/formats/scenario.md describes the format");
  }
  FLEXAI_RETURN_IF_ERROR(JudgeBadRows(path, scenario->bad, skip));
  return scenario;
}

}  // namespace

int SimulateScenario(const Arguments& arguments, Format format) {
  const std::string path = arguments.Text("FILE");
  if (path.empty()) {
    return Complain(Status(Code::kInvalidArgument, "flexai sim scenario needs a file",
                           "name a scenario, as flexai sim scenario FILE"));
  }
  const Result<Scenario> scenario = ReadFile(path, arguments.Has("skip-bad"));
  if (!scenario.ok()) return Complain(scenario.status(), kFailed);
  const Result<ScenarioResult> result = RunScenario(*scenario);
  if (!result.ok()) {
    return Complain(
        Status(result.status().code(), path + ": " + std::string(result.status().message()),
               std::string(result.status().hint())),
        kFailed);
  }
  std::string text;
  if (format == Format::kJson || format == Format::kYaml) {
    const json found = AsJson(*scenario, *result);
    text = format == Format::kJson ? ToJson(found) : ToYaml(found);
  } else {
    text = AsText(*scenario, *result);
  }
  if (!Print(text)) return kFailed;
  for (const Miss& miss : result->missed) {
    const std::string line = path + ":" + std::to_string(miss.line) + ": " + miss.reason;
    std::fputs(("flexai: " + Printable(line) + "\n").c_str(), stderr);
  }
  return result->missed.empty() ? kDone : kFailed;
}

}  // namespace flexai::cli
