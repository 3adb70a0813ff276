// From argv to Arguments, by the command tree. The only file that knows the parsing library.
#pragma once

#include <string>
#include <vector>

#include "apps/flexai/command.h"

namespace flexai::cli {

struct Parsed {
  const Command* command = nullptr;
  Arguments arguments;
  std::string text;  // --help was asked for: print this and stop
};

/// Errors: kInvalidArgument, with the sentence and where to look.
Result<Parsed> Parse(const std::vector<std::string>& words);

/// What `flexai --help` prints.
std::string Overview();
/// What `flexai COMMAND --help` prints.
std::string Help(const Command& command);
/// "flexai run [OPTION...] [--] PROGRAM [WORD...]".
std::string Synopsis(const Command& command);

}  // namespace flexai::cli
