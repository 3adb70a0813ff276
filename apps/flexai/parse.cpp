#include "apps/flexai/parse.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

const Option* FindOption(const Command& command, std::string_view word) {
  for (const Option& option : command.options) {
    if (word.substr(0, word.find('=')) == "--" + std::string(option.name)) return &option;
    if (option.letter && word == "-" + std::string(option.letter)) return &option;
  }
  return nullptr;
}

// Where the program of `run` begins in `words`: behind --, or at the first word that is neither an
// option of ours nor an option's value. Found by hand, since everything from there on is the
// program's, whatever it looks like. Equals words.size() where there is none.
size_t ProgramStart(const Command& command, const std::vector<std::string>& words, bool* marked) {
  *marked = false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") {
      *marked = true;
      return i;
    }
    if (words[i].empty() || words[i][0] != '-') return i;
    const Option* option = FindOption(command, words[i]);
    if (option && option->value && words[i].find('=') == std::string::npos) ++i;
  }
  return words.size();
}

std::string Flags(const Option& option) {
  std::string flags = "--" + std::string(option.name);
  if (option.letter) flags = "-" + std::string(option.letter) + "," + flags;
  return flags;
}

Status Misuse(std::string message, const Command* command) {
  return Status(
      Code::kInvalidArgument, std::move(message),
      command ? "see flexai " + std::string(command->name) + " --help" : "see flexai --help");
}

// The parsing library's own sentences name its types; these are ours.
Status Explain(const CLI::ParseError& error, const Command& command,
               const std::vector<std::string>& words) {
  const std::string name = "flexai " + std::string(command.name);
  const auto is = [&](CLI::ExitCodes code) {
    return error.get_exit_code() == static_cast<int>(code);
  };
  if (is(CLI::ExitCodes::ExtrasError)) {
    const auto unknown = std::find_if(words.begin(), words.end(), [&](const std::string& word) {
      return word.size() > 1 && word[0] == '-' && !FindOption(command, word);
    });
    if (unknown == words.end())
      return Misuse(name + " was given more words than it takes", &command);
    return Misuse(name + " has no option '" + *unknown + "'", &command);
  }
  if (is(CLI::ExitCodes::RequiredError) && !command.positionals.empty()) {
    return Misuse(name + " needs " + command.positionals[0].name, &command);
  }
  const std::string message = error.what();
  if (is(CLI::ExitCodes::ArgumentMismatch)) {
    std::string option = message.substr(0, message.find_first_of(": "));
    if (option[0] != '-') option = "--" + option;  // switches come without their dashes
    const Option* known = FindOption(command, option);
    return Misuse(option + (known && known->value ? std::string(" needs ") + known->value
                                                  : " takes no value"),
                  &command);
  }
  return Misuse(name + ": " + message.substr(0, message.find('\n')), &command);
}

// "--share", "-5%" become "--share=-5%", so that a value may begin with a dash and be refused by
// its own sentence.
std::vector<std::string> JoinValues(const Command& command, const std::vector<std::string>& words) {
  std::vector<std::string> joined;
  for (size_t i = 0; i < words.size(); ++i) {
    joined.push_back(words[i]);
    const Option* option = FindOption(command, words[i]);
    const bool alone = option && option->value && words[i].rfind("--", 0) == 0 &&
                       words[i].find('=') == std::string::npos;
    if (alone && i + 1 < words.size() && words[i + 1].rfind("--", 0) != 0) {
      joined.back() += "=" + words[++i];
    }
  }
  return joined;
}

Status ParseOwn(const Command& command, std::vector<std::string> words, Arguments* arguments) {
  CLI::App app;
  app.set_help_flag();
  std::map<std::string, std::string> values;
  std::map<std::string, bool> switches;
  for (const Option& option : command.options) {
    if (option.value) {
      app.add_option(Flags(option), values[option.name])
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      app.add_flag(Flags(option), switches[option.name])->disable_flag_override();
    }
  }
  for (const Positional& positional : command.positionals) {
    CLI::Option* added = app.add_option(positional.name, values[positional.name]);
    if (positional.required) added->required();
  }
  const std::vector<std::string> given = words;
  words = JoinValues(command, words);
  std::reverse(words.begin(), words.end());  // as the library wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return Explain(error, command, given);
  }
  for (const Option& option : command.options) {
    if (app.count("--" + std::string(option.name)) == 0) continue;
    arguments->Set(option.name, option.value ? values[option.name] : "");
  }
  for (const Positional& positional : command.positionals) {
    if (app.count(positional.name) > 0) arguments->Set(positional.name, values[positional.name]);
  }
  return Status();
}

// The name nearest to `word`, for "did you mean".
std::string Nearest(const std::string& word) {
  for (const Command& command : Commands()) {
    const std::string name = command.name;
    if (!command.hidden && word.size() > 1 &&
        (name.rfind(word, 0) == 0 || word.rfind(name, 0) == 0)) {
      return name;
    }
  }
  return "";
}

void AppendPadded(std::string* text, const std::string& left, size_t width,
                  std::string_view right) {
  *text += "  " + left;
  if (left.size() + 2 > width) {
    *text += "\n" + std::string(width + 2, ' ');
  } else {
    text->append(width - left.size(), ' ');
  }
  *text += std::string(right) + "\n";
}

}  // namespace

std::string Synopsis(const Command& command) {
  std::string text = "flexai " + std::string(command.name);
  if (!command.options.empty()) text += " [OPTION...]";
  for (const Positional& positional : command.positionals) {
    text += positional.required ? " " + std::string(positional.name)
                                : " [" + std::string(positional.name) + "]";
  }
  if (command.takes_program) text += " [--] PROGRAM [WORD...]";
  return text;
}

std::string Help(const Command& command) {
  std::string text = "Usage: " + Synopsis(command) + "\n\n" + command.summary + ".\n";
  if (*command.details) text += "\n" + std::string(command.details) + "\n";
  if (!command.positionals.empty()) text += "\nWords:\n";
  for (const Positional& positional : command.positionals) {
    AppendPadded(&text, positional.name, 22, positional.help);
  }
  text += "\nOptions:\n";
  for (const Option& option : command.options) {
    std::string left = option.letter ? "-" + std::string(option.letter) + ", " : "";
    left += "--" + std::string(option.name);
    if (option.value) left += " " + std::string(option.value);
    AppendPadded(&text, left, 22, option.help);
  }
  AppendPadded(&text, "-h, --help", 22, "print this");
  return text;
}

std::string Overview() {
  std::string text =
      "Usage: flexai COMMAND [OPTION...]\n\n"
      "Lets several programs share one card, each within its share of the compute time and its\n"
      "part of the memory. Programs run unchanged:\n\n"
      "  flexai run --share 30% --memory 8Gi -- python train.py\n\nCommands:\n";
  for (const Command& command : Commands()) {
    if (!command.hidden) AppendPadded(&text, command.name, 12, command.summary);
  }
  text += "\nflexai COMMAND --help says more; man flexai-COMMAND too.\n";
  return text;
}

Result<Parsed> Parse(const std::vector<std::string>& words) {
  Parsed parsed;
  if (words.empty()) return Misuse("no command is given", nullptr);
  const bool asks_help = words[0] == "-h" || words[0] == "--help" || words[0] == "help";
  if (asks_help && words.size() == 1) {
    parsed.text = Overview();
    return parsed;
  }
  const std::string name = asks_help ? words[1] : words[0] == "--version" ? "version" : words[0];
  parsed.command = FindCommand(name);
  if (!parsed.command) {
    const std::string near = Nearest(name);
    Status status = Misuse("there is no command '" + name + "'", nullptr);
    if (near.empty()) return status;
    return Status(Code::kInvalidArgument, std::string(status.message()),
                  "do you mean " + near + "?");
  }
  std::vector<std::string> own(words.begin() + 1, words.end());
  if (parsed.command->takes_program) {
    bool marked = false;
    const size_t start = ProgramStart(*parsed.command, own, &marked);
    parsed.arguments.program.assign(
        own.begin() + static_cast<ptrdiff_t>(std::min(own.size(), start + marked)), own.end());
    own.resize(start);
  }
  const auto is_help = [](const std::string& word) { return word == "-h" || word == "--help"; };
  if (asks_help || std::any_of(own.begin(), own.end(), is_help)) {
    parsed.text = Help(*parsed.command);
    return parsed;
  }
  FLEXAI_RETURN_IF_ERROR(ParseOwn(*parsed.command, own, &parsed.arguments));
  return parsed;
}

}  // namespace flexai::cli
