// flexai cards: what this machine has to share.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/tables.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  const Result<json> status = Ask({{"op", "status"}});
  if (!status.ok()) return Complain(status.status(), ExitCode(status.status()));
  json cards = json::array();
  const std::string wanted = arguments.Text("CARD");
  for (const json& card : ListField(*status, "cards")) {
    if (wanted.empty() || wanted == TextField(card, "card") || wanted == TextField(card, "uuid")) {
      cards.push_back(card);
    }
  }
  for (const json& one : ListField(*status, "unshared")) {
    if (wanted.empty() || wanted != TextField(one, "uuid")) continue;
    return Complain(
        Status(Code::kFailedPrecondition, TextField(one, "why"), TextField(one, "cure")), kFailed);
  }
  if (!wanted.empty() && cards.empty()) {
    return Complain(Status(Code::kNotFound, "there is no card '" + wanted + "'",
                           "flexai cards lists the cards of this machine"),
                    kFailed);
  }
  json found = {{"cards", cards}};
  if (wanted.empty() && status->contains("unshared")) {
    found["unshared"] = ListField(*status, "unshared");
  }
  if (*format == Format::kJson) return Print(ToJson(found)) ? kDone : kFailed;
  if (*format == Format::kYaml) return Print(ToYaml(found)) ? kDone : kFailed;
  const bool wide = *format == Format::kWide;
  const std::string table =
      cards.empty() ? "no cards: flexai doctor says why\n" : CardTable(found, wide).Render();
  return Print(table + NotShared(found)) ? kDone : kFailed;
}

}  // namespace

Command CardsCommand() {
  return {
      .name = "cards",
      .summary = "List the cards of this machine",
      .details =
          "GRANTED is the sum of the shares that slices hold; RECEIVED is what they had in "
          "the last second.",
      .options = {{"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {{"CARD", "only this card, by number or uuid", Offer::kCard, false}},
      .act = Act,
  };
}

}  // namespace flexai::cli
