// flexai version: ours, and the daemon's where one answers.
#include <nlohmann/json.hpp>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  json versions = {{"version", FLEXAI_VERSION}, {"daemon_version", nullptr}};
  std::string text = "flexai " FLEXAI_VERSION "\n";
  if (const Result<json> status = Ask({{"op", "status"}}); status.ok()) {
    versions["daemon_version"] = TextField(*status, "version");
    versions["protocol"] = status->value("protocol", json());
    text += "flexaid " + TextField(*status, "version") + " (protocol " +
            TextField(*status, "protocol") + ")\n";
  }
  if (*format == Format::kJson) text = ToJson(versions);
  if (*format == Format::kYaml) text = ToYaml(versions);
  return Print(text) ? kDone : kFailed;
}

}  // namespace

Command VersionCommand() {
  return {
      .name = "version",
      .summary = "Print the version of flexai, and of the daemon if one runs",
      .details = "",
      .options = {{"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {},
      .act = Act,
  };
}

}  // namespace flexai::cli
