// Plays every scenario of this folder: what came must be what its writer expects.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "flexai/schedule/sim/scenario.h"
#include "flexai/schedule/sim/scenario_run.h"

namespace flexai::schedule::sim {
namespace {

std::vector<std::string> Files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(FLEXAI_SCENARIOS)) {
    if (entry.path().extension() == ".txtpb") files.push_back(entry.path().stem());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Played : public testing::TestWithParam<std::string> {};

TEST_P(Played, AsItsWriterExpects) {
  const std::string path = std::string(FLEXAI_SCENARIOS) + "/" + GetParam() + ".txtpb";
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const Result<Scenario> scenario = ReadScenario(text.str());
  ASSERT_TRUE(scenario.ok()) << path << ":" << scenario.status().ToString();
  for (const BadRow& bad : scenario->bad)
    ADD_FAILURE() << path << ":" << bad.line << ": " << bad.reason;
  EXPECT_FALSE(scenario->expectations.empty()) << path << " expects nothing";
  EXPECT_FALSE(scenario->title.empty()) << path << " has no title";
  const Result<ScenarioResult> result = RunScenario(*scenario);
  ASSERT_TRUE(result.ok()) << path << ": " << result.status().ToString();
  for (const Miss& miss : result->missed)
    ADD_FAILURE() << path << ":" << miss.line << ": " << miss.reason;
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Played, testing::ValuesIn(Files()),
                         [](const auto& played) { return played.param; });

}  // namespace
}  // namespace flexai::schedule::sim
