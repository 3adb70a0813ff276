// flexai status: all cards and slices of this machine, once.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "apps/flexai/ask.h"
#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/tables.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string Text(const json& status, bool wide) {
  // A file or a pipe gets whole lines; a terminal gets what fits.
  const size_t width = wide || !isatty(STDOUT_FILENO) ? 0 : TerminalWidth(STDOUT_FILENO, 80);
  const Table cards = CardTable(status, wide);
  std::string text = cards.empty() ? "no cards: flexai doctor says why\n" : cards.Render(width);
  text += "\n";
  const Table slices = SliceTable(ListField(status, "slices"), wide);
  text += slices.empty() ? "no slices: start one with flexai run --share 30% -- PROGRAM\n"
                         : slices.Render(width);
  if (const std::string remarks = Remarks(status); !remarks.empty()) text += "\n" + remarks;
  return text;
}

int Act(const Arguments& arguments) {
  const Result<Format> format = ParseFormat(arguments.Text("output"));
  if (!format.ok()) return Complain(format.status());
  const Result<json> status = Ask({{"op", "status"}});
  if (!status.ok()) return Complain(status.status(), ExitCode(status.status()));
  if (*format == Format::kJson) return Print(ToJson(*status)) ? kDone : kFailed;
  if (*format == Format::kYaml) return Print(ToYaml(*status)) ? kDone : kFailed;
  return Print(Text(*status, *format == Format::kWide)) ? kDone : kFailed;
}

}  // namespace

Command StatusCommand() {
  return {
      .name = "status",
      .summary = "Show cards, slices and who waits",
      .details = "RECEIVED is the part of the card's time that a slice had in the last second.",
      .options = {{"output", "FORMAT", "table, wide, json or yaml", Offer::kFormat, "o"}},
      .positionals = {},
      .act = Act,
  };
}

}  // namespace flexai::cli
