// Man pages and completion scripts as text, made from the command tree alone.
#pragma once

#include <string>

#include "apps/flexai/command.h"

namespace flexai::cli {

/// flexai(1), in roff.
std::string MainManPage();
/// flexai-COMMAND(1), in roff.
std::string ManPage(const Command& command);

/// docs/reference/cli.md.
std::string ReferencePage();

std::string BashCompletion();
std::string ZshCompletion();
std::string FishCompletion();

}  // namespace flexai::cli
