#include "apps/flexai/sim_philly.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/flexai/chart.h"
#include "apps/flexai/sim_words.h"
#include "apps/flexai/text_file.h"
#include "flexai/schedule/sim/philly.h"
#include "flexai/schedule/sim/queueing.h"
#include "flexai/schedule/sim/replay.h"

namespace flexai::cli {
namespace {

using nlohmann::json;
using namespace schedule::sim;

struct Run {
  std::string policy;
  QueueingResult result;
};

struct Question {
  std::vector<Pool> pools;
  double scale = 1;
  JobList list;
};

std::vector<Pool> Scaled(double scale) {
  std::vector<Pool> pools(PhillyPools().begin(), PhillyPools().end());
  for (Pool& pool : pools) {
    pool.nodes = std::max<uint32_t>(1, static_cast<uint32_t>(std::lround(pool.nodes * scale)));
  }
  return pools;
}

Result<Question> ReadQuestion(const Arguments& arguments) {
  const Result<double> scale = ParseScale(arguments.Text("scale", "1"));
  if (!scale.ok()) return scale.status();
  const Result<int64_t> from = ParseTime(arguments.Text("from", "2017-10-01"));
  if (!from.ok()) return from.status();
  const Result<int64_t> until = ParseTime(arguments.Text("until", "2017-12-01"));
  if (!until.ok()) return until.status();
  Question question{Scaled(*scale), *scale, {}};
  const std::string path = arguments.Text("jobs");
  const Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  Result<JobList> list = ReadPhillyJobs(*text, question.pools, *from, *until);
  if (!list.ok()) {
    return Status(list.status().code(), path + ": " + std::string(list.status().message()),
                  std::string(list.status().hint()));
  }
  FLEXAI_RETURN_IF_ERROR(JudgeBadRows(path, list->bad, arguments.Has("skip-bad")));
  if (list->jobs.empty()) {
    return Status(Code::kInvalidArgument, path + " has no job of a known cluster in this time",
                  "choose another time with --from and --until");
  }
  question.list = *std::move(list);
  return question;
}

double Quantile(std::vector<int64_t> values, double part) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at);
}

double Mean(const std::vector<int64_t>& values) {
  const std::vector<double> as_double(values.begin(), values.end());
  return SpreadOf(as_double).mean;
}

json AsJson(const Run& run, const Question& question) {
  const QueueingResult& result = run.result;
  return {{"policy", run.policy},
          {"scale", question.scale},
          {"jobs", result.queue_s.size()},
          {"jobs_outside", question.list.outside},
          {"jobs_refused", result.refused},
          {"mean_queue_seconds", Mean(result.queue_s)},
          {"median_queue_seconds", Quantile(result.queue_s, 0.5)},
          {"p99_queue_seconds", Quantile(result.queue_s, 0.99)},
          {"longest_queue_seconds", Quantile(result.queue_s, 1)},
          {"mean_completion_seconds", result.mean_jct_s},
          {"suspensions", result.suspensions},
          {"reservations", result.reservations},
          {"late_heads", result.late_heads},
          {"longest_late_seconds", result.longest_late_s}};
}

Status Plot(const std::string& path, const std::vector<Run>& runs) {
  constexpr double kDay = 86400;
  Panel panel{"Jobs that wait", "days since the first submission", "jobs", {}};
  for (const Run& run : runs) {
    panel.curves.push_back({run.policy, {}});
    for (const Backlog& look : run.result.backlog) {
      const auto since = static_cast<double>(look.at_s - run.result.backlog.front().at_s);
      panel.curves.back().points.emplace_back(since / kDay, static_cast<double>(look.waiting));
    }
  }
  return WriteTextFile(path, DrawSvg({&panel, 1}));
}

std::string Whole(double value) { return std::to_string(std::llround(value)); }

std::string AsTable(const std::vector<Run>& runs) {
  Table table;
  table.Left("POLICY").Right("JOBS").Right("MEAN QUEUE s").Right("MEDIAN").Right("99 %");
  table.Right("MEAN JCT s").Right("SUSPENSIONS").Right("RESERVATIONS").Right("LATE HEADS");
  for (const Run& run : runs) {
    const QueueingResult& result = run.result;
    table.Row({run.policy, std::to_string(result.queue_s.size()), Whole(Mean(result.queue_s)),
               Whole(Quantile(result.queue_s, 0.5)), Whole(Quantile(result.queue_s, 0.99)),
               Whole(result.mean_jct_s), std::to_string(result.suspensions),
               std::to_string(result.reservations), std::to_string(result.late_heads)});
  }
  return table.Render();
}

}  // namespace

int SimulatePhilly(const Arguments& arguments, Format format) {
  if (!arguments.Has("jobs")) {
    return Complain(Status(Code::kInvalidArgument, "flexai sim philly needs --jobs",
                           "name a list of the Philly trace"));
  }
  const std::string policy = arguments.Text("policy", "flexai");
  std::vector<QueueRules> rules;
  if (policy == "all") {
    rules.assign(QueuePolicies().begin(), QueuePolicies().end());
  } else {
    const Result<QueueRules> found = FindQueuePolicy(policy);
    if (!found.ok()) return Complain(found.status());
    rules.push_back(*found);
  }
  const Result<Question> question = ReadQuestion(arguments);
  if (!question.ok()) return Complain(question.status(), kFailed);
  std::vector<Run> runs;
  for (const QueueRules& one : rules) {
    ShowProgress("philly: " + std::string(one.name));
    Result<QueueingResult> result = SimulateQueue(question->pools, question->list.jobs, one);
    ShowProgress("");
    if (!result.ok()) return Complain(result.status(), kFailed);
    runs.push_back({std::string(one.name), *std::move(result)});
  }
  if (arguments.Has("plot")) {
    const Status drawn = Plot(arguments.Text("plot"), runs);
    if (!drawn.ok()) return Complain(drawn, kFailed);
  }
  if (format != Format::kJson && format != Format::kYaml) {
    return Print(AsTable(runs)) ? kDone : kFailed;
  }
  json list = json::array();
  for (const Run& run : runs) list.push_back(AsJson(run, *question));
  const json found = policy == "all" ? json{{"policies", list}} : list[0];
  return Print(format == Format::kJson ? ToJson(found) : ToYaml(found)) ? kDone : kFailed;
}

}  // namespace flexai::cli
