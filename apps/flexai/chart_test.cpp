#include "apps/flexai/chart.h"

#include <gtest/gtest.h>

namespace flexai::cli {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Chart, DrawsEveryCurveInsideItsField) {
  const std::vector<Panel> panels = {{"left", "x", "y", {{"a<b", {{0, 10}, {100, 20}}}}},
                                     {"right", "x", "y", {{"c", {{1, 1}}}, {"d", {}}}}};
  const std::string svg = DrawSvg(panels);
  EXPECT_EQ(Count(svg, "<polyline"), 3u);
  EXPECT_EQ(Count(svg, ">a&lt;b</text>"), 1u);  // the names of the first field only
  EXPECT_EQ(Count(svg, ">c</text>"), 0u);
  // From the lower left corner of the field to its upper right one.
  EXPECT_NE(svg.find("points=\"70,290 465,40 \""), std::string::npos) << svg;
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Chart, TicksAreRoundNumbers) {
  const std::vector<Panel> panels = {{"", "", "", {{"", {{0.02, 86.3}, {1.3, 95.35}}}}}};
  const std::string svg = DrawSvg(panels);
  for (const char* tick : {">86<", ">88<", ">96<", ">0.5<", ">1.5<"}) {
    EXPECT_NE(svg.find(tick), std::string::npos) << tick;
  }
}

}  // namespace
}  // namespace flexai::cli
