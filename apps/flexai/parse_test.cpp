#include "apps/flexai/parse.h"

#include <gtest/gtest.h>

namespace flexai::cli {
namespace {

using Words = std::vector<std::string>;

std::string Refusal(const Words& words) {
  const Result<Parsed> parsed = Parse(words);
  return parsed.ok() ? "accepted" : parsed.status().ToString();
}

TEST(Parse, ReadsOptionsInBothForms) {
  for (const Words& words : {Words{"run", "--share", "30%", "--quiet", "--", "true"},
                             Words{"run", "--share=30%", "--quiet", "true"}}) {
    const Result<Parsed> parsed = Parse(words);
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    EXPECT_EQ(parsed->arguments.Text("share"), "30%");
    EXPECT_TRUE(parsed->arguments.Has("quiet"));
    EXPECT_FALSE(parsed->arguments.Has("nowait"));
    EXPECT_EQ(parsed->arguments.program, Words{"true"});
  }
}

TEST(Parse, LeavesTheProgramsWordsAlone) {
  const Words program = {"python", "x.py", "--share", "5", "--help", "--", "-o", ""};
  Words words = {"run", "--memory", "8Gi"};
  words.insert(words.end(), program.begin(), program.end());
  const Result<Parsed> bare = Parse(words);
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->arguments.program, program);
  EXPECT_FALSE(bare->arguments.Has("share"));
  words.insert(words.begin() + 3, "--");
  const Result<Parsed> marked = Parse(words);
  ASSERT_TRUE(marked.ok());
  EXPECT_EQ(marked->arguments.program, program);
}

TEST(Parse, LetsAProgramBeginWithADashBehindTheMark) {
  const Result<Parsed> parsed = Parse({"run", "--", "-x"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->arguments.program, Words{"-x"});
}

TEST(Parse, TakesAValueThatBeginsWithADash) {
  const Result<Parsed> parsed = Parse({"run", "--share", "-5%", "true"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->arguments.Text("share"), "-5%");
}

TEST(Parse, ReadsPositionalsAndLetters) {
  const Result<Parsed> parsed = Parse({"pause", "s-1", "-o", "json"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->arguments.Text("SLICE"), "s-1");
  EXPECT_EQ(parsed->arguments.Text("output"), "json");
}

TEST(Parse, TakesTheLastOfAnOptionGivenTwice) {
  const Result<Parsed> parsed = Parse({"run", "--share", "10%", "--share", "20%", "true"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->arguments.Text("share"), "20%");
}

TEST(Parse, RefusesWithASentence) {
  EXPECT_EQ(Refusal({}), "no command is given; see flexai --help");
  EXPECT_EQ(Refusal({"fly"}), "there is no command 'fly'; see flexai --help");
  EXPECT_EQ(Refusal({"stat"}), "there is no command 'stat'; do you mean status?");
  EXPECT_EQ(Refusal({"run", "--shar", "30%", "true"}),
            "flexai run has no option '--shar'; see flexai run --help");
  EXPECT_EQ(Refusal({"pause"}), "flexai pause needs SLICE; see flexai pause --help");
  EXPECT_EQ(Refusal({"pause", "a", "b"}),
            "flexai pause was given more words than it takes; see flexai pause --help");
  EXPECT_EQ(Refusal({"set", "s-1", "--share"}), "--share needs PERCENT; see flexai set --help");
  EXPECT_EQ(Refusal({"run", "--quiet=3", "true"}), "--quiet takes no value; see flexai run --help");
}

TEST(Parse, HelpsInEveryCommand) {
  for (const Command& command : Commands()) {
    const Result<Parsed> parsed = Parse({command.name, "--help"});
    ASSERT_TRUE(parsed.ok()) << command.name;
    EXPECT_NE(parsed->text.find("Usage: flexai " + std::string(command.name)), std::string::npos);
    for (const Option& option : command.options) {
      EXPECT_NE(parsed->text.find("--" + std::string(option.name)), std::string::npos);
    }
  }
  EXPECT_NE(Parse({"help", "run"})->text.find("Usage: flexai run"), std::string::npos);
}

TEST(Tree, NamesAreUniqueAndLinesFit) {
  std::map<std::string, int> seen;
  for (const Command& command : Commands()) {
    EXPECT_EQ(++seen[command.name], 1) << command.name;
    std::map<std::string, int> options;
    for (const Option& option : command.options) EXPECT_EQ(++options[option.name], 1);
    const std::string text = Help(command);
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      EXPECT_LE(end - at, 100u) << text.substr(at, end - at);
      at = end + 1;
    }
  }
}

}  // namespace
}  // namespace flexai::cli
