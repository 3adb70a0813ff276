// flexai trace: reads a file that FLEXAI_TRACE made, and sums it up or prints its calls.
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "flexai/intercept/trace_reader.h"
#include "flexai/model/units.h"

namespace flexai::cli {
namespace {

using intercept::Trace;
using intercept::TracedCall;
using intercept::TraceSum;
using nlohmann::json;

std::string Micros(int64_t nanos) {
  char text[48];
  std::snprintf(text, sizeof(text), "%.1f", static_cast<double>(nanos) / 1e3);
  return text;
}

const std::string& NameOf(const Trace& trace, uint16_t index) {
  static const std::string unknown = "?";
  return index < trace.functions.size() ? trace.functions[index] : unknown;
}

json SumsAsJson(const Trace& trace) {
  json functions = json::array();
  for (const TraceSum& sum : intercept::SumUp(trace)) {
    functions.push_back({{"function", sum.function},
                         {"calls", sum.count},
                         {"failed", sum.failed},
                         {"charged_bytes", sum.bytes},
                         {"total_ns", sum.total_ns},
                         {"p50_ns", sum.p50_ns},
                         {"p99_ns", sum.p99_ns},
                         {"max_ns", sum.max_ns}});
  }
  return functions;
}

json CallsAsJson(const Trace& trace) {
  json calls = json::array();
  for (const TracedCall& call : trace.calls) {
    calls.push_back({{"start_ns", call.start_ns - trace.monotonic_ns},
                     {"duration_ns", call.duration_ns},
                     {"pid", call.pid},
                     {"tid", call.tid},
                     {"function", NameOf(trace, call.index)},
                     {"charged_bytes", call.bytes},
                     {"failed", call.failed},
                     {"refused", call.refused},
                     {"text", call.text}});
  }
  return calls;
}

std::string SumsAsText(const Trace& trace) {
  Table table;
  table.Left("FUNCTION").Right("CALLS").Right("FAILED").Right("CHARGED").Right("TOTAL us");
  table.Right("P50 us").Right("P99 us").Right("MAX us");
  for (const TraceSum& sum : intercept::SumUp(trace)) {
    table.Row({sum.function, std::to_string(sum.count), std::to_string(sum.failed),
               model::FormatBytes(sum.bytes), Micros(sum.total_ns), Micros(sum.p50_ns),
               Micros(sum.p99_ns), Micros(sum.max_ns)});
  }
  return table.Render();
}

std::string CallsAsText(const Trace& trace) {
  Table table;
  table.Right("START us").Right("TOOK us").Right("TID").Left("CALL");
  for (const TracedCall& call : trace.calls) {
    std::string text = call.text.empty() ? NameOf(trace, call.index) : Printable(call.text);
    if (call.refused) {
      text += "  refused";
    } else if (call.failed) {
      text += "  failed";
    }
    table.Row({Micros(call.start_ns - trace.monotonic_ns), Micros(call.duration_ns),
               std::to_string(call.tid), std::move(text)});
  }
  return table.Render();
}

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  const Result<Trace> trace = intercept::ReadTrace(arguments.Text("FILE"));
  if (!trace.ok()) return Complain(trace.status(), kFailed);
  const bool calls = arguments.Has("calls");
  if (*format == Format::kJson || *format == Format::kYaml) {
    json all = {{"library", trace->library}, {"damaged_chunks", trace->damaged_chunks}};
    all["functions"] = SumsAsJson(*trace);
    if (calls) all["calls"] = CallsAsJson(*trace);
    return Print(*format == Format::kJson ? ToJson(all) : ToYaml(all)) ? kDone : kFailed;
  }
  std::string text = calls ? CallsAsText(*trace) : SumsAsText(*trace);
  if (trace->damaged_chunks > 0) {
    text += "warning: " + std::to_string(trace->damaged_chunks) +
            " damaged parts of the file are left out\n";
  }
  return Print(text) ? kDone : kFailed;
}

}  // namespace

Command TraceCommand() {
  return {
      .name = "trace",
      .summary = "Sum up the calls that a program made to its card",
      .details =
          "The file is written by a program that runs with FLEXAI_TRACE=FILE in its "
          "environment.\nTimes are in microseconds.",
      .options = {{"calls", nullptr, "print every call, in order, instead of sums"},
                  {"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {{"FILE", "the recorded calls", Offer::kFile}},
      .act = Act,
  };
}

}  // namespace flexai::cli
