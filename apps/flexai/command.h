// The command tree as data. Parsing, --help, completion and man pages all read it, so that they
// cannot differ. One file per command adds its line to `Commands()`.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apps/flexai/exit_codes.h"
#include "flexai/base/status.h"

namespace flexai::cli {

/// What a shell offers for a value.
enum class Offer { kNothing, kFile, kCard, kSlice, kPriority, kFormat, kShell, kPolicy, kTrace };

struct Option {
  const char* name;   // "share": what people write after --
  const char* value;  // "PERCENT"; nullptr for a switch
  const char* help;   // no capital, no full stop
  Offer offer = Offer::kNothing;
  const char* letter = nullptr;  // "o" for -o
};

struct Positional {
  const char* name;  // "SLICE"
  const char* help;
  Offer offer = Offer::kNothing;
  bool required = true;
};

/// What the command line said.
class Arguments {
 public:
  bool Has(std::string_view name) const { return values_.find(name) != values_.end(); }
  /// The option's or positional's value, or `fallback`.
  std::string Text(std::string_view name, std::string_view fallback = "") const;
  void Set(std::string name, std::string value) { values_[std::move(name)] = std::move(value); }

  std::vector<std::string> program;  // `run` only: the words of the program

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

struct Command {
  const char* name;
  const char* summary;  // one line
  const char* details;  // paragraphs of the man page and of --help
  std::vector<Option> options;
  std::vector<Positional> positionals;
  int (*act)(const Arguments&);
  bool takes_program = false;  // [--] PROGRAM [WORD...] ends the line
  bool hidden = false;
};

/// All commands, in the order in which --help lists them.
const std::vector<Command>& Commands();
const Command* FindCommand(std::string_view name);

// One function per file of the same name.
Command RunCommand();
Command TopCommand();
Command StatusCommand();
Command CardsCommand();
Command SetCommand();
Command PauseCommand();
Command ResumeCommand();
Command DoctorCommand();
Command TraceCommand();
Command SimCommand();
Command CompletionCommand();
Command VersionCommand();
Command ManCommand();

/// Writes "flexai: message; hint" on stderr and returns `exit_code`.
int Complain(const Status& status, int exit_code = kUsage);

}  // namespace flexai::cli
