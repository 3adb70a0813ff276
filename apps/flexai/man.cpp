// flexai man FOLDER: writes every man page there; --reference prints the page of the docs. Hidden:
// the build, the packages and a test call it.
#include "apps/flexai/man.h"

#include <cerrno>
#include <cstdio>

#include "apps/flexai/output.h"
#include "apps/flexai/parse.h"

namespace flexai::cli {
namespace {

// Roff reads a leading dot or quote as a command, and - as a hyphen that cannot be copied.
std::string Roff(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (safe.empty() || safe.back() == '\n')) safe += "\\&";
    if (c == '-') {
      safe += "\\-";
    } else if (c == '\\') {
      safe += "\\e";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string Head(const std::string& name, const std::string& summary) {
  return ".TH " + Roff(name) + " 1 \"\" \"flexai " FLEXAI_VERSION "\" \"flexai\"\n.SH NAME\n" +
         Roff(name) + " \\- " + Roff(summary) + "\n";
}

constexpr const char* kExit =
    ".SH EXIT STATUS\n"
    ".TP\n0\ndone\n"
    ".TP\n1\nwhat was asked for failed or does not exist\n"
    ".TP\n125\nbad usage, no daemon, or a failure of flexai itself\n";
constexpr const char* kRunExit =
    ".SH EXIT STATUS\nThe program\\(aqs own; without a program that ran:\n"
    ".TP\n75\nno card has room, with \\-\\-nowait\n"
    ".TP\n125\nbad usage or a failure of flexai itself\n"
    ".TP\n126\nthe program is not executable\n"
    ".TP\n127\nthere is no such program\n"
    ".TP\n130\ninterrupted while waiting\n";
constexpr const char* kEnvironment =
    ".SH ENVIRONMENT\n"
    ".TP\nFLEXAI_SOCKET\nthe socket of the daemon, instead of the usual places\n"
    ".TP\nFLEXAI_TRACE\na program in a slice records its calls in this file\n"
    ".TP\nFLEXAI_LOG\nerror, warn, info or debug; or COMPONENT=LEVEL, with commas between\n"
    ".TP\nNO_COLOR\nno colours\n";

}  // namespace

std::string MainManPage() {
  std::string page = Head("flexai", "share a card among programs");
  page += ".SH SYNOPSIS\n.B flexai\n.I COMMAND\n[\\fIOPTION\\fR...]\n.SH DESCRIPTION\n";
  page +=
      "Lets several programs share one card, each within its share of the compute time and its\n"
      "part of the memory. Programs run unchanged.\n.SH COMMANDS\n";
  std::string also;
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    page += ".TP\n.BR flexai\\-" + Roff(command.name) + " (1)\n" + Roff(command.summary) + "\n";
    also += std::string(also.empty() ? "" : " ,\n") + ".BR flexai\\-" + Roff(command.name) + " (1)";
  }
  page += kEnvironment;
  page += kExit;
  return page + ".SH SEE ALSO\n" + also + "\n";
}

std::string ManPage(const Command& command) {
  const std::string name = "flexai-" + std::string(command.name);
  std::string page = Head(name, command.summary);
  page += ".SH SYNOPSIS\n.B " + Roff(Synopsis(command)) + "\n";
  if (*command.details) page += ".SH DESCRIPTION\n" + Roff(command.details) + "\n";
  if (!command.positionals.empty()) page += ".SH WORDS\n";
  for (const Positional& positional : command.positionals) {
    page += ".TP\n.I " + Roff(positional.name) + "\n" + Roff(positional.help) + "\n";
  }
  page += ".SH OPTIONS\n";
  for (const Option& option : command.options) {
    page += ".TP\n";
    if (option.letter) page += "\\fB\\-" + Roff(option.letter) + "\\fR, ";
    page += "\\fB\\-\\-" + Roff(option.name) + "\\fR";
    if (option.value) page += " \\fI" + Roff(option.value) + "\\fR";
    page += "\n" + Roff(option.help) + "\n";
  }
  page += ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint a short help\n";
  page += command.takes_program ? kRunExit : kExit;
  return page + ".SH SEE ALSO\n.BR flexai (1)\n";
}

std::string ReferencePage() {
  std::string page =
      "# flexai, command by command\n\n"
      "Written by `flexai man --reference`; a test compares. Exit codes: "
      "[exit-codes.md](exit-codes.md). JSON: [json-fields.md](json-fields.md).\n\n"
      "```\n" +
      Overview() + "```\n";
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    page += "\n## flexai " + std::string(command.name) + "\n\n```\n" + Help(command) + "```\n";
  }
  return page;
}

namespace {

Status WriteFile(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (!file) {
    return ErrnoStatus(Code::kInvalidArgument, "cannot write '" + path + "'",
                       "name a folder that exists and that you can write");
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written) {
    return ErrnoStatus(Code::kInvalidArgument, "cannot write '" + path + "'");
  }
  return Status();
}

int Act(const Arguments& arguments) {
  if (arguments.Has("reference")) return Print(ReferencePage()) ? kDone : kFailed;
  if (!arguments.Has("FOLDER")) {
    return Complain(Status(Code::kInvalidArgument, "flexai man was given no folder",
                           "name one that exists, or add --reference"));
  }
  const std::string folder = arguments.Text("FOLDER") + "/";
  if (Status status = WriteFile(folder + "flexai.1", MainManPage()); !status.ok()) {
    return Complain(status, kFailed);
  }
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    const std::string path = folder + "flexai-" + command.name + ".1";
    if (Status status = WriteFile(path, ManPage(command)); !status.ok()) {
      return Complain(status, kFailed);
    }
  }
  return kDone;
}

}  // namespace

Command ManCommand() {
  return {
      .name = "man",
      .summary = "Write the man pages",
      .details = "",
      .options = {{"reference", nullptr, "print docs/reference/cli.md instead"}},
      .positionals = {{"FOLDER", "where", Offer::kFile, false}},
      .act = Act,
      .takes_program = false,
      .hidden = true,
  };
}

}  // namespace flexai::cli
