#include "apps/flexai/output.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "flexai/operate/json_text.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

TEST(Table, AlignsColumnsAndLeavesNoTrailingBlanks) {
  Table table;
  table.Left("NAME").Right("SIZE").Left("COMMAND");
  table.Row({"a", "10", "x"});
  table.Row({"longer", "9", ""});
  EXPECT_EQ(table.Render(),
            "NAME    SIZE  COMMAND\n"
            "a         10  x\n"
            "longer     9\n");
}

TEST(Table, CutsTheLastColumnAtTheWidth) {
  Table table;
  table.Left("A").Left("COMMAND");
  table.Row({"1", "0123456789"});
  EXPECT_EQ(table.Render(10), "A  COMMAND\n1  0123...\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table;
  table.Left("N").Left("X");
  table.Row({"\xC3\xA9\xC3\xA9", "1"});
  table.Row({"ab", "2"});
  EXPECT_EQ(table.Render(), "N   X\n\xC3\xA9\xC3\xA9  1\nab  2\n");
}

TEST(Text, CannotDriveTheTerminal) {
  EXPECT_EQ(Printable("a\033[2Jb\n"), "a?[2Jb?");
  EXPECT_EQ(Printable("a\xC2\x9B"
                      "2Jb"),
            "a?2Jb");
  EXPECT_EQ(Printable("caf\xC3\xA9"), "caf\xC3\xA9");
}

TEST(Text, IsShortenedBetweenCharacters) {
  EXPECT_EQ(Shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(Shorten("abcdefg", 6), "abc...");
  EXPECT_EQ(Shorten("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 4), "\xC3\xA9...");
  EXPECT_EQ(Shorten("abc", 0), "");
}

TEST(Text, NamesTimesAsPeopleDo) {
  EXPECT_EQ(FormatSeconds(4.25), "4.2 s");
  EXPECT_EQ(FormatSeconds(59), "59 s");
  EXPECT_EQ(FormatSeconds(724), "12m04s");
  EXPECT_EQ(FormatSeconds(3 * 3600 + 7 * 60), "3h07m");
  EXPECT_EQ(FormatSeconds(3 * 86400), "3d00h");
  EXPECT_EQ(FormatRatio(0.298), "29.8 %");
}

TEST(Yaml, NestsObjectsAndLists) {
  const json value = {{"a", 1}, {"b", {{{"c", "x"}, {"d", {1, 2}}}}}, {"e", {{"f", nullptr}}}};
  EXPECT_EQ(ToYaml(value),
            "a: 1\n"
            "b:\n"
            "- c: x\n"
            "  d:\n"
            "  - 1\n"
            "  - 2\n"
            "e:\n"
            "  f: null\n");
}

TEST(Yaml, QuotesWhatWouldBeReadAsSomethingElse) {
  for (const char* text : {"", "0", "1.5", "true", "no", "null", "a: b", "- x", "#c", " x", "x ",
                           "a\nb", "0x1f", "~"}) {
    EXPECT_EQ(ToYaml(json(text)), operate::JsonText(json(text)) + "\n") << text;
  }
  EXPECT_EQ(ToYaml(json("python train.py")), "python train.py\n");
  EXPECT_EQ(ToYaml(json::array()), "[]\n");
  EXPECT_EQ(ToYaml({{"x", json::object()}}), "x: {}\n");
}

TEST(Json, SurvivesTextThatIsNoUnicode) { EXPECT_EQ(ToJson(json("\xFF")), "\"\xEF\xBF\xBD\"\n"); }

TEST(Fields, AreEmptyWhereMissingOrOfAnotherType) {
  const json object = {{"n", 5}, {"t", "x"}, {"z", nullptr}, {"l", {1}}};
  EXPECT_EQ(TextField(object, "t"), "x");
  EXPECT_EQ(TextField(object, "n"), "5");
  EXPECT_EQ(TextField(object, "z"), "");
  EXPECT_EQ(TextField(json(3), "t"), "");
  EXPECT_EQ(NumberField(object, "t", -1), -1);
  EXPECT_EQ(BytesField(object, "n"), 5u);
  EXPECT_EQ(ListField(object, "n").size(), 0u);
  EXPECT_EQ(ListField(object, "l").size(), 1u);
}

TEST(Format, IsOneOfFour) {
  EXPECT_EQ(*ParseFormat("yaml"), Format::kYaml);
  EXPECT_EQ(*ParseFormat(""), Format::kTable);
  const auto refused = ParseFormat("xml");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().ToString(),
            "output 'xml' is not known; write table, wide, json or yaml");
}

}  // namespace
}  // namespace flexai::cli
