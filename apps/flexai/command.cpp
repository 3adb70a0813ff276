#include "apps/flexai/command.h"

#include <unistd.h>

#include <cstdio>

#include "apps/flexai/output.h"

namespace flexai::cli {

std::string Arguments::Text(std::string_view name, std::string_view fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string(fallback) : found->second;
}

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      RunCommand(),        TopCommand(),     StatusCommand(), CardsCommand(), SetCommand(),
      PauseCommand(),      ResumeCommand(),  DoctorCommand(), TraceCommand(), SimCommand(),
      CompletionCommand(), VersionCommand(), ManCommand(),
  };
  return commands;
}

const Command* FindCommand(std::string_view name) {
  for (const Command& command : Commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

int Complain(const Status& status, int exit_code) {
  std::string line = "flexai: " + Printable(status.message());
  if (!status.hint().empty()) line += "; " + Printable(status.hint());
  if (UsesColour(STDERR_FILENO)) line = "\033[31m" + line + "\033[0m";
  line += "\n";
  std::fputs(line.c_str(), stderr);
  return exit_code;
}

}  // namespace flexai::cli
