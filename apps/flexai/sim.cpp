// flexai sim: replays a recorded workload against the scheduler's core and tells how well each
// policy fills the cards. Files, clock and terminal are here; everything that decides is in
// flexai/schedule.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/flexai/chart.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/sim_philly.h"
#include "apps/flexai/sim_scenario.h"
#include "apps/flexai/sim_words.h"
#include "apps/flexai/text_file.h"
#include "flexai/schedule/placer.h"
#include "flexai/schedule/sim/openb.h"
#include "flexai/schedule/sim/replay.h"

namespace flexai::cli {
namespace {

using nlohmann::json;
using namespace schedule::sim;

struct Workload {
  std::vector<schedule::Node> nodes;
  std::vector<schedule::Request> pods;
};

// What one policy did over all seeds.
struct Summary {
  std::string policy;
  std::vector<double> marks;
  std::vector<size_t> told;  // the marks that are reported; all are drawn
  std::vector<std::vector<double>> allocated, fragmented;  // per mark, per seed
  uint64_t decisions = 0;
  uint64_t moves = 0;
  uint64_t remote = 0;
  double seconds = 0;
};

Status Named(const std::string& path, const Status& status) {
  return Status(status.code(), path + ": " + std::string(status.message()),
                std::string(status.hint()));
}

Result<Workload> ReadOpenb(const Arguments& arguments) {
  const std::string nodes_path = arguments.Text("nodes"), pods_path = arguments.Text("pods");
  const Result<std::string> nodes_text = ReadTextFile(nodes_path);
  if (!nodes_text.ok()) return nodes_text.status();
  const Result<std::string> pods_text = ReadTextFile(pods_path);
  if (!pods_text.ok()) return pods_text.status();
  ModelNames models;
  Result<NodeList> nodes = ReadOpenbNodes(*nodes_text, &models);
  if (!nodes.ok()) return Named(nodes_path, nodes.status());
  Result<PodList> pods = ReadOpenbPods(*pods_text, &models);
  if (!pods.ok()) return Named(pods_path, pods.status());
  const bool skip = arguments.Has("skip-bad");
  FLEXAI_RETURN_IF_ERROR(JudgeBadRows(nodes_path, nodes->bad, skip));
  FLEXAI_RETURN_IF_ERROR(JudgeBadRows(pods_path, pods->bad, skip));
  return Workload{std::move(nodes->nodes), std::move(pods->pods)};
}

Result<Summary> RunPolicy(const Workload& workload, const std::string& policy, double arrival,
                          uint64_t moves, bool remote, bool learn,
                          const std::vector<uint64_t>& seeds, bool curve) {
  Summary summary;
  summary.policy = policy;
  summary.marks = curve ? MarksOfCurve(arrival) : MarksOf(arrival);
  for (const double mark : MarksOf(arrival)) {
    summary.told.push_back(static_cast<size_t>(
        std::find(summary.marks.begin(), summary.marks.end(), mark) - summary.marks.begin()));
  }
  summary.allocated.resize(summary.marks.size());
  summary.fragmented.resize(summary.marks.size());
  for (size_t i = 0; i < seeds.size(); ++i) {
    ShowProgress(policy + ": seed " + std::to_string(seeds[i]) + ", " + std::to_string(i + 1) +
                 " of " + std::to_string(seeds.size()));
    const auto begin = std::chrono::steady_clock::now();
    const Result<ReplayResult> result = Replay({workload.nodes, workload.pods, policy, arrival,
                                                seeds[i], moves, remote, summary.marks, learn});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    ShowProgress("");
    if (!result.ok()) return result.status();
    summary.seconds += took.count();
    summary.decisions += result->decisions;
    summary.moves += result->moves;
    summary.remote += result->remote;
    for (size_t mark = 0; mark < result->looks.size(); ++mark) {
      summary.allocated[mark].push_back(result->looks[mark].allocated);
      summary.fragmented[mark].push_back(result->looks[mark].fragmented);
    }
  }
  return summary;
}

std::string Fixed(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

json SpreadAsJson(const std::vector<double>& values) {
  const Spread spread = SpreadOf(values);
  return {{"mean", spread.mean}, {"stddev", spread.stddev}};
}

json AsJson(const Summary& summary, const std::vector<uint64_t>& seeds) {
  json at = json::object();
  for (const size_t mark : summary.told) {
    at[Fixed(summary.marks[mark], 2)] = {
        {"allocated_ratio", SpreadAsJson(summary.allocated[mark])},
        {"fragmented_ratio", SpreadAsJson(summary.fragmented[mark])}};
  }
  return {{"policy", summary.policy},
          {"seeds", seeds},
          {"decisions_per_second", static_cast<double>(summary.decisions) / summary.seconds},
          {"moves", summary.moves},
          {"remote_pods", summary.remote},
          {"at_arrival", at}};
}

std::string AsTable(const std::vector<Summary>& summaries) {
  Table table;
  table.Left("POLICY").Right("ARRIVED").Right("ALLOCATED").Right("+-").Right("FRAGMENTED");
  table.Right("+-").Right("DECISIONS/s");
  for (const Summary& summary : summaries) {
    for (const size_t mark : summary.told) {
      const Spread allocated = SpreadOf(summary.allocated[mark]);
      const Spread fragmented = SpreadOf(summary.fragmented[mark]);
      table.Row({summary.policy, Fixed(100 * summary.marks[mark], 0) + " %",
                 Fixed(100 * allocated.mean, 2) + " %", Fixed(100 * allocated.stddev, 2),
                 Fixed(100 * fragmented.mean, 2) + " %", Fixed(100 * fragmented.stddev, 2),
                 Fixed(static_cast<double>(summary.decisions) / summary.seconds, 0)});
    }
  }
  return table.Render();
}

Status Plot(const std::string& path, const std::vector<Summary>& summaries) {
  const std::string across = "cards asked for, % of the cluster's";
  Panel panels[] = {{"Allocated", across, "% of all cards", {}},
                    {"Fragmented: idle, and of no use to the usual pod", across, "", {}}};
  for (const Summary& summary : summaries) {
    for (Panel& panel : panels) panel.curves.push_back({summary.policy, {}});
    for (size_t mark = 0; mark < summary.marks.size(); ++mark) {
      const double at = 100 * summary.marks[mark];
      panels[0].curves.back().points.emplace_back(at, 100 * SpreadOf(summary.allocated[mark]).mean);
      panels[1].curves.back().points.emplace_back(at,
                                                  100 * SpreadOf(summary.fragmented[mark]).mean);
    }
  }
  return WriteTextFile(path, DrawSvg(panels));
}

int Report(const std::vector<Summary>& summaries, const std::vector<uint64_t>& seeds, bool all,
           Format format) {
  if (format != Format::kJson && format != Format::kYaml) {
    return Print(AsTable(summaries)) ? kDone : kFailed;
  }
  json list = json::array();
  for (const Summary& summary : summaries) list.push_back(AsJson(summary, seeds));
  const json found = all ? json{{"policies", list}} : list[0];
  return Print(format == Format::kJson ? ToJson(found) : ToYaml(found)) ? kDone : kFailed;
}

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  if (arguments.Text("TRACE") == "philly") return SimulatePhilly(arguments, *format);
  if (arguments.Text("TRACE") == "scenario") return SimulateScenario(arguments, *format);
  if (arguments.Text("TRACE") != "openb") {
    return Complain(Status(Code::kInvalidArgument,
                           "there is no trace '" + arguments.Text("TRACE") + "'",
                           "write openb, philly or scenario"));
  }
  for (const char* needed : {"nodes", "pods"}) {
    if (arguments.Has(needed)) continue;
    return Complain(Status(Code::kInvalidArgument,
                           "flexai sim openb needs --" + std::string(needed),
                           "name a list of the openb trace"));
  }
  const Result<double> arrival = ParseArrival(arguments.Text("arrival", "1.3"));
  if (!arrival.ok()) return Complain(arrival.status());
  const Result<std::vector<uint64_t>> seeds = ParseSeeds(arguments.Text("seeds", "42-51"));
  if (!seeds.ok()) return Complain(seeds.status());
  const Result<uint64_t> moves = ParseMoves(arguments.Text("moves", "0"));
  if (!moves.ok()) return Complain(moves.status());
  const std::string policy = arguments.Text("policy", "flexai");
  const bool all = policy == "all";
  if (const Status known = schedule::CheckPolicy(policy); !all && !known.ok()) {
    return Complain(known);
  }
  std::vector<std::string> policies = {policy};
  if (all) policies.assign(schedule::PolicyNames().begin(), schedule::PolicyNames().end());

  const Result<Workload> workload = ReadOpenb(arguments);
  if (!workload.ok()) return Complain(workload.status(), kFailed);
  std::vector<Summary> summaries;
  for (const std::string& name : policies) {
    Result<Summary> summary = RunPolicy(*workload, name, *arrival, *moves, arguments.Has("remote"),
                                        arguments.Has("learn"), *seeds, arguments.Has("plot"));
    if (!summary.ok()) return Complain(summary.status(), kFailed);
    summaries.push_back(*std::move(summary));
  }
  if (arguments.Has("plot")) {
    const Status drawn = Plot(arguments.Text("plot"), summaries);
    if (!drawn.ok()) return Complain(drawn, kFailed);
  }
  return Report(summaries, *seeds, all, *format);
}

}  // namespace

Command SimCommand() {
  return {
      .name = "sim",
      .summary = "Replay a recorded workload and tell how full it gets the cards",
      .details =
          "openb: the pods of a list arrive one by one, in an order drawn by the seed, until they\n"
          "have asked for --arrival times the cluster's cards. Each is placed at once or refused;\n"
          "none leaves, but with --moves one that runs may go elsewhere to make room, and with\n"
          "--remote one may use cards of another node than the one it runs on. ALLOCATED and\n"
          "FRAGMENTED are parts of all cards, means over the seeds. Files may be packed by gzip.\n"
          "\n"
          "philly: the jobs of a list come at their times, wait for whole cards of their "
          "cluster's\n"
          "nodes, run and end. QUEUE is the time in which a job did not run. --policy is flexai\n"
          "(the scheduler's own rounds), fifo, fifo-skip, sjf, srtf, backfill or all; sjf and "
          "srtf\n"
          "know how long jobs will run.\n"
          "\n"
          "scenario: plays a file that describes a cluster, jobs and what should come of them, "
          "tells\n"
          "where each job ran or why it waits, and fails if anything came otherwise.",
      .options = {{"nodes", "FILE", "the cluster: a node list", Offer::kFile},
                  {"pods", "FILE", "the workload: a pod list", Offer::kFile},
                  {"jobs", "FILE", "of philly: the job list", Offer::kFile},
                  {"scale", "RATIO", "of philly: nodes, as a part of those recorded (default 1)"},
                  {"from", "TIME", "of philly: first submission (default 2017-10-01)"},
                  {"until", "TIME", "of philly: end of submissions (default 2017-12-01)"},
                  {"policy", "POLICY", "who places the pods, or all (default flexai)",
                   Offer::kPolicy},
                  {"arrival", "RATIO", "cards asked for by the end (default 1.3)"},
                  {"seeds", "SEEDS", "orders of arrival, as 42-51 (the default)"},
                  {"moves", "NUMBER", "jobs that may be moved to make room, per seed (default 0)"},
                  {"remote", nullptr, "pods that fit nowhere may use cards over the network"},
                  {"plot", "FILE", "also draw the results over time as SVG", Offer::kFile},
                  {"learn", nullptr, "typical pods are learnt as they come, not read off the list"},
                  {"skip-bad", nullptr, "leave out rows that cannot be used"},
                  {"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {{"TRACE", "openb, philly or scenario", Offer::kTrace},
                      {"FILE", "of scenario: what to play", Offer::kFile, false}},
      .act = Act,
  };
}

}  // namespace flexai::cli
