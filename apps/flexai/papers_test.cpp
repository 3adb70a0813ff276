// Man pages and completion scripts name everything that the tree has.
#include <gtest/gtest.h>

#include "apps/flexai/man.h"

namespace flexai::cli {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Completion, NamesEveryCommandAndOption) {
  const std::string bash = BashCompletion(), zsh = ZshCompletion(), fish = FishCompletion();
  for (const Command& command : Commands()) {
    const std::string name = command.name;
    EXPECT_EQ(Has(bash, "    " + name + ")\n"), !command.hidden) << name;
    EXPECT_EQ(Has(zsh, "    " + name + ") _arguments"), !command.hidden) << name;
    EXPECT_EQ(Has(fish, "-a " + name + " -d"), !command.hidden) << name;
    if (command.hidden) continue;
    for (const Option& option : command.options) {
      EXPECT_TRUE(Has(bash, "--" + std::string(option.name))) << option.name;
      EXPECT_TRUE(Has(zsh, "'--" + std::string(option.name) + "[")) << option.name;
      EXPECT_TRUE(Has(fish, "-l " + std::string(option.name))) << option.name;
    }
  }
}

TEST(Completion, AsksTheDaemonForNames) {
  EXPECT_TRUE(Has(BashCompletion(), "$(flexai completion slices 2>/dev/null)"));
  EXPECT_TRUE(Has(ZshCompletion(), "$(flexai completion cards 2>/dev/null)"));
  EXPECT_TRUE(Has(FishCompletion(), "(flexai completion slices 2>/dev/null)"));
}

TEST(Man, NamesEveryCommandAndOption) {
  const std::string all = MainManPage();
  for (const Command& command : Commands()) {
    EXPECT_EQ(Has(all, "flexai\\-" + std::string(command.name) + " (1)"), !command.hidden);
    const std::string page = ManPage(command);
    EXPECT_EQ(page.rfind(".TH ", 0), 0u);
    for (const char* section : {".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXIT STATUS"}) {
      EXPECT_TRUE(Has(page, section)) << command.name << section;
    }
  }
  EXPECT_TRUE(Has(ManPage(*FindCommand("run")), "\\fB\\-\\-share\\fR \\fIPERCENT\\fR"));
  EXPECT_TRUE(Has(ManPage(*FindCommand("run")), "\n75\n"));
  EXPECT_FALSE(Has(ManPage(*FindCommand("status")), "\n75\n"));
}

TEST(Man, NoLineOfTextIsReadAsACommand) {
  Command command = *FindCommand("resume");
  command.details = ".dangerous\n'too\nback\\slash";
  const std::string page = ManPage(command);
  EXPECT_TRUE(Has(page, "\n\\&.dangerous\n\\&'too\nback\\eslash\n"));
}

}  // namespace
}  // namespace flexai::cli
