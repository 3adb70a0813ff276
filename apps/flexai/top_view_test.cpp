#include "apps/flexai/top_view.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

json Slice(const std::string& name, double received, uint64_t used, int share) {
  return {{"slice", name},
          {"owner", "a-very-long-owner"},
          {"state", "starting"},
          {"share_permille", share},
          {"limit_permille", 1000},
          {"compute_received_ratio", received},
          {"memory_used_bytes", used},
          {"memory_limit_bytes", 1000ull << 30},
          {"command", std::string(200, 'x')}};
}

json Status() {
  return {{"version", "0.1.0"},
          {"cards",
           {{{"card", "0"},
             {"model", std::string(60, 'M')},
             {"compute_received_ratio", 0.5},
             {"share_granted_permille", 750},
             {"memory_used_bytes", 1ull << 30},
             {"memory_total_bytes", 1000ull << 30}}}},
          {"slices",
           {Slice("s-2", 0.1, 5ull << 30, 100), Slice("s-1", 0.4, 1ull << 30, 500),
            Slice("s-3", 0.2, 9ull << 30, 300)}},
          {"waiting", {{{"command", "y"}, {"position", 1}, {"reason", "card 0 is full"}}}},
          {"warnings", {"one\033[31m"}}};
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

TEST(TopScreen, FitsEightyColumnsAndShowsAll) {
  TopState state;
  const std::string screen = TopScreen(Status(), state);
  for (const std::string& line : Lines(screen)) EXPECT_LE(Width(line), 80u) << line;
  for (const char* part : {"s-1", "s-2", "s-3", "[||||||||||.....     ] 50.0 %", "1 waiting",
                           "waiting: y: card 0 is full", "warning: one?[31m"}) {
    EXPECT_NE(screen.find(part), std::string::npos) << part << "\n" << screen;
  }
}

TEST(TopScreen, ASliceOfTwoCardsIsOneSliceWithTwoRows) {
  json status = Status();
  EXPECT_EQ(TopScreen(status, {}).find("CARD "), std::string::npos);
  for (const char* card : {"4", "5"}) {
    json part = Slice("s-9", 0.1, 5ull << 30, 100);
    part["cards"] = 2;
    part["card"] = card;
    status["slices"].push_back(part);
  }
  const std::string screen = TopScreen(status, {});
  for (const char* part : {" 4 slices ", "SLICE  CARD", "s-9    4 ", "s-9    5 "}) {
    EXPECT_NE(screen.find(part), std::string::npos) << part << "\n" << screen;
  }
  for (const std::string& line : Lines(screen)) EXPECT_LE(Width(line), 80u) << line;
}

TEST(TopScreen, KeepsToTheHeight) {
  TopState state;
  state.height = 6;
  EXPECT_EQ(Lines(TopScreen(Status(), state)).size(), 6u);
  state.height = 1;
  EXPECT_EQ(Lines(TopScreen(Status(), state)).size(), 1u);
}

TEST(TopScreen, MarksTheChosenSliceByColour) {
  TopState state;
  state.height = 24;
  state.selected = 1;
  state.colour = true;
  const std::string screen = TopScreen(Status(), state);
  EXPECT_NE(screen.find("\033[7ms-2"), std::string::npos) << screen;
}

TEST(TopScreen, SaysWhatToDoWithoutSlices) {
  json status = Status();
  status["slices"] = json::array();
  EXPECT_NE(TopScreen(status, {}).find("flexai run --share 30%"), std::string::npos);
  EXPECT_FALSE(TopScreen(json::object(), {}).empty());  // a daemon of another version
}

TEST(Sort, GoesRoundThroughAllOrders) {
  const auto first = [](SortBy sort) {
    return TextField(SortedSlices(Status(), sort)[0], "slice");
  };
  EXPECT_EQ(first(SortBy::kSlice), "s-1");
  EXPECT_EQ(first(SortBy::kReceived), "s-1");
  EXPECT_EQ(first(SortBy::kMemory), "s-3");
  EXPECT_EQ(first(SortBy::kShare), "s-1");
  SortBy sort = SortBy::kSlice;
  for (int i = 0; i < 4; ++i) sort = NextSort(sort);
  EXPECT_EQ(sort, SortBy::kSlice);
}

}  // namespace
}  // namespace flexai::cli
