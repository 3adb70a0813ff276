// flexai completion: scripts for shells. Names of slices and cards are asked of the daemon when the
// person presses the key: `flexai completion slices` prints them, and nothing when none answers.
#include <nlohmann/json.hpp>

#include "apps/flexai/ask.h"
#include "apps/flexai/man.h"
#include "apps/flexai/output.h"
#include "apps/flexai/tables.h"
#include "flexai/schedule/placer.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string Words(Offer offer) {
  switch (offer) {
    case Offer::kPriority:
      return "high normal low";
    case Offer::kFormat:
      return "table wide json yaml";
    case Offer::kShell:
      return "bash zsh fish";
    case Offer::kPolicy: {
      std::string names = "all";
      for (const std::string_view name : schedule::PolicyNames()) names += " " + std::string(name);
      return names;
    }
    case Offer::kTrace:
      return "openb philly scenario";
    case Offer::kSlice:
      return "$(flexai completion slices 2>/dev/null)";
    case Offer::kCard:
      return "auto $(flexai completion cards 2>/dev/null)";
    default:
      return "";
  }
}

std::string VisibleNames() {
  std::string names;
  for (const Command& command : Commands()) {
    if (!command.hidden) names += (names.empty() ? "" : " ") + std::string(command.name);
  }
  return names;
}

std::string OptionNames(const Command& command) {
  std::string names;
  for (const Option& option : command.options) names += "--" + std::string(option.name) + " ";
  return names + "--help";
}

// The case arms that answer for the value of an option.
std::string BashValues(const Command& command) {
  std::string text;
  for (const Option& option : command.options) {
    if (!option.value) continue;
    std::string flags = "--" + std::string(option.name);
    if (option.letter) flags += "|-" + std::string(option.letter);
    const std::string words = Words(option.offer);
    text += "        " + flags + ") ";
    if (option.offer == Offer::kFile) {
      text += "COMPREPLY=($(compgen -f -- \"$cur\")); ";
    } else if (!words.empty()) {
      text += "COMPREPLY=($(compgen -W \"" + words + "\" -- \"$cur\")); ";
    }
    text += "return ;;\n";
  }
  return text;
}

std::string BashArm(const Command& command) {
  std::string text = "    " + std::string(command.name) + ")\n      case $prev in\n";
  text += BashValues(command);
  text += "      esac\n";
  text += "      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"" + OptionNames(command) +
          "\" -- \"$cur\")); return; fi\n";
  if (command.takes_program) {
    text += "      COMPREPLY=($(compgen -c -- \"$cur\"))\n";
  } else if (!command.positionals.empty()) {
    const Offer offer = command.positionals[0].offer;
    text += offer == Offer::kFile
                ? "      COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                : "      COMPREPLY=($(compgen -W \"" + Words(offer) + "\" -- \"$cur\"))\n";
  }
  return text + "      ;;\n";
}

// The options of `run` that take the word behind them.
std::string ValueOptions(const std::string& between) {
  std::string names;
  for (const Option& option : FindCommand("run")->options) {
    if (option.value) names += (names.empty() ? "--" : between + "--") + std::string(option.name);
  }
  return names;
}

// Behind `run`, the first word that is no option begins the program: from there the program's own
// completion answers. Options that take a value are skipped together with it.
std::string BashProgramJump() {
  return "  if [[ ${COMP_WORDS[1]} == run ]]; then\n"
         "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
         "      case ${COMP_WORDS[i]} in\n"
         "        --) ((i++)); break ;;\n"
         "        " +
         ValueOptions("|") +
         ") ((i++)) ;;\n"
         "        -*) ;;\n"
         "        *) break ;;\n"
         "      esac\n"
         "    done\n"
         "    if ((i < COMP_CWORD)); then\n"
         "      if declare -F _command_offset >/dev/null; then _command_offset $i; return; fi\n"
         "      COMPREPLY=($(compgen -f -- \"$cur\")); return\n"
         "    fi\n"
         "  fi\n";
}

std::string ZshAction(Offer offer) {
  const std::string words = Words(offer);
  if (offer == Offer::kFile) return "_files";
  if (offer == Offer::kSlice || offer == Offer::kCard) return "{compadd -- " + words + "}";
  return words.empty() ? " " : "(" + words + ")";
}

// Inside '...[text]': these would end it.
std::string ZshText(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':') safe += '\\';
    if (c == '\'') {
      safe += "'\\''";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string FishText(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '\'' || c == '\\') safe += '\\';
    safe += c;
  }
  return "'" + safe + "'";
}

std::string FishWords(Offer offer) {
  if (offer == Offer::kSlice) return "(flexai completion slices 2>/dev/null)";
  if (offer == Offer::kCard) return "auto (flexai completion cards 2>/dev/null)";
  return Words(offer);
}

}  // namespace

std::string BashCompletion() {
  std::string text =
      "# Completion of flexai for bash; made by: flexai completion bash\n"
      "_flexai() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W \"" +
      VisibleNames() +
      " --help --version\" -- \"$cur\")); return\n"
      "  fi\n";
  text += BashProgramJump();
  text += "  case ${COMP_WORDS[1]} in\n";
  for (const Command& command : Commands()) {
    if (!command.hidden) text += BashArm(command);
  }
  return text + "  esac\n}\ncomplete -o filenames -o bashdefault -F _flexai flexai\n";
}

std::string ZshCompletion() {
  std::string text =
      "#compdef flexai\n# Completion of flexai for zsh; made by: flexai completion zsh\n"
      "_flexai() {\n  if ((CURRENT == 2)); then\n    local -a names=(\n";
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    text += "      '" + std::string(command.name) + ":" + ZshText(command.summary) + "'\n";
  }
  text +=
      "    )\n    _describe command names; return\n  fi\n  local name=$words[2]\n"
      "  words=(\"${(@)words[2,-1]}\"); ((CURRENT--))\n  case $name in\n";
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    text += "    " + std::string(command.name) + ") _arguments -S";
    for (const Option& option : command.options) {
      const std::string value =
          option.value ? ":" + std::string(option.value) + ":" + ZshAction(option.offer) : "";
      text += " \\\n      '--" + std::string(option.name) + "[" + ZshText(option.help) + "]" +
              value + "'";
    }
    for (const Positional& positional : command.positionals) {
      text += std::string(" \\\n      '") + (positional.required ? ":" : "::") + positional.name +
              ":" + ZshAction(positional.offer) + "'";
    }
    if (command.takes_program) {
      text += " \\\n      '(-):program:_command_names -e' '*::words:_normal'";
    }
    text += " ;;\n";
  }
  return text +
         "  esac\n}\nif [[ $funcstack[1] == _flexai ]]; then _flexai \"$@\"; else compdef _flexai "
         "flexai; fi\n";
}

std::string FishCompletion() {
  std::string text =
      "# Completion of flexai for fish; made by: flexai completion fish\n"
      "complete -c flexai -f\n";
  for (const Command& command : Commands()) {
    if (command.hidden) continue;
    const std::string name = command.name;
    text += "complete -c flexai -n __fish_use_subcommand -a " + name + " -d " +
            FishText(command.summary) + "\n";
    const std::string when = "complete -c flexai -n '__fish_seen_subcommand_from " + name + "' ";
    for (const Option& option : command.options) {
      text += when + "-l " + option.name;
      if (option.letter) text += " -s " + std::string(option.letter);
      if (option.value) text += option.offer == Offer::kFile ? " -r -F" : " -x";
      if (const std::string words = FishWords(option.offer); option.value && !words.empty()) {
        text += " -a '" + words + "'";
      }
      text += " -d " + FishText(option.help) + "\n";
    }
    for (const Positional& positional : command.positionals) {
      text +=
          when + (positional.offer == Offer::kFile ? "-F\n"
                                                   : "-a '" + FishWords(positional.offer) + "'\n");
    }
    if (command.takes_program)
      text +=
          when + "-a '(__fish_complete_subcommand --fcs-skip=2 -- " + ValueOptions(" ") + ")'\n";
  }
  return text;
}

namespace {

int PrintNames(std::vector<std::string> (*names_in)(const json& status)) {
  const Result<json> status = Ask({{"op", "status"}});
  if (!status.ok()) return ExitCode(status.status());
  std::string lines;
  for (const std::string& name : names_in(*status)) lines += name + "\n";
  return Print(lines) ? kDone : kFailed;
}

std::vector<std::string> CardNames(const json& status) {
  std::vector<std::string> names;
  for (const json& card : ListField(status, "cards")) names.push_back(TextField(card, "card"));
  return names;
}

int Act(const Arguments& arguments) {
  const std::string shell = arguments.Text("SHELL");
  if (shell == "slices") return PrintNames(SliceNames);
  if (shell == "cards") return PrintNames(CardNames);
  if (shell == "bash") return Print(BashCompletion()) ? kDone : kFailed;
  if (shell == "zsh") return Print(ZshCompletion()) ? kDone : kFailed;
  if (shell == "fish") return Print(FishCompletion()) ? kDone : kFailed;
  return Complain(Status(Code::kInvalidArgument, "there is no completion for '" + shell + "'",
                         "write bash, zsh or fish"));
}

}  // namespace

Command CompletionCommand() {
  return {
      .name = "completion",
      .summary = "Print the completion script of a shell",
      .details =
          "bash: source <(flexai completion bash)\nzsh: source <(flexai completion zsh)\n"
          "fish: flexai completion fish | source",
      .options = {},
      .positionals = {{"SHELL", "bash, zsh or fish", Offer::kShell}},
      .act = Act,
  };
}

}  // namespace flexai::cli
