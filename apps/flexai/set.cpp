// flexai set, pause, resume: change a slice while its programs run.
#include <nlohmann/json.hpp>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/slice_words.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

// Asks, and prints the slice as it is now.
int Change(const Arguments& arguments, const json& request, const char* done) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  const Result<json> reply = Ask(request);
  if (!reply.ok()) return Complain(reply.status(), ExitCode(reply.status()));
  const json slice = reply->value("slice", json::object());
  if (*format == Format::kJson) return Print(ToJson(slice)) ? kDone : kFailed;
  if (*format == Format::kYaml) return Print(ToYaml(slice)) ? kDone : kFailed;
  return Print(TextField(slice, "slice") + " " + done + ": " + Promise(slice, "") + "\n") ? kDone
                                                                                          : kFailed;
}

Result<json> SetRequest(const Arguments& arguments) {
  json request = {{"op", "set"}, {"slice", arguments.Text("SLICE")}};
  for (const char* name : {"share", "limit"}) {
    if (!arguments.Has(name)) continue;
    Result<model::Permille> part = model::ParsePercent(name, arguments.Text(name));
    if (!part.ok()) return part.status();
    request[std::string(name) + "_permille"] = *part;
  }
  if (arguments.Has("memory")) {
    Result<model::Bytes> memory = model::ParseBytes("memory", arguments.Text("memory"));
    if (!memory.ok()) return memory.status();
    request["memory_limit_bytes"] = *memory;
  }
  if (arguments.Has("priority")) {
    Result<model::Priority> priority = model::ParsePriority(arguments.Text("priority"));
    if (!priority.ok()) return priority.status();
    request["priority"] = std::string(model::PriorityName(*priority));
  }
  if (request.size() == 2) {
    return Status(Code::kInvalidArgument, "flexai set was not told what to change",
                  "add --share, --limit, --memory or --priority");
  }
  if (arguments.Has("no-growth")) request["no_growth"] = true;
  return request;
}

int Set(const Arguments& arguments) {
  const Result<json> request = SetRequest(arguments);
  if (!request.ok()) return Complain(request.status());
  return Change(arguments, *request, "changed");
}

int Pause(const Arguments& arguments) {
  return Change(arguments, {{"op", "pause"}, {"slice", arguments.Text("SLICE")}}, "paused");
}

int Resume(const Arguments& arguments) {
  return Change(arguments, {{"op", "resume"}, {"slice", arguments.Text("SLICE")}}, "resumed");
}

const Option kOutput = {"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"};
const Positional kSlice = {"SLICE", "which slice, as flexai status names it", Offer::kSlice};

}  // namespace

Command SetCommand() {
  return {
      .name = "set",
      .summary = "Change the share, limit, memory or priority of a running slice",
      .details = "What is not named stays; a limit that equals the share follows it.",
      .options =
          {
              {"share", "PERCENT", "guaranteed part of the card's compute time"},
              {"limit", "PERCENT", "most of it, using what others leave idle"},
              {"memory", "BYTES", "most of the card's memory, as 8Gi"},
              {"priority", "PRIORITY", "high, normal or low", Offer::kPriority},
              {"no-growth", nullptr,
               "take a --memory below what is used: nothing is taken away, nothing is added"},
              kOutput,
          },
      .positionals = {kSlice},
      .act = Set,
  };
}

Command PauseCommand() {
  return {
      .name = "pause",
      .summary = "Stop a slice's computing until it is resumed",
      .details = "Its programs keep their memory; their next wait for the card lasts until then.",
      .options = {kOutput},
      .positionals = {kSlice},
      .act = Pause,
  };
}

Command ResumeCommand() {
  return {
      .name = "resume",
      .summary = "Let a paused slice compute again",
      .details = "",
      .options = {kOutput},
      .positionals = {kSlice},
      .act = Resume,
  };
}

}  // namespace flexai::cli
