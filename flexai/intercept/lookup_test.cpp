// Names to rows, and what is said about names that are in no table.
#include "flexai/intercept/lookup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "flexai/base/log.h"
#include "flexai/intercept/toy_driver.h"
#include "toy/resolver.h"

namespace flexai::intercept {
namespace {

TEST(Lookup, FindsEveryRowByNameAndId) {
  for (const FnInfo& info : toy::kFunctions) {
    EXPECT_EQ(toy::FindByName("", info.name), info.index);
    EXPECT_EQ(toy::FindById(info.id), info.index);
  }
  EXPECT_EQ(toy::FindByName("", "toyNothing"), -1);
  EXPECT_EQ(toy::FindByName("", ""), -1);
  EXPECT_EQ(toy::FindById(1), -1);
}

TEST(Lookup, DoorsHaveNamesOfTheirOwn) {
  EXPECT_EQ(toy::FindByName("toyLookUp", "toyVersion"), toy::ToyVersionEXTCall::kIndex);
  EXPECT_EQ(toy::FindByName("otherDoor", "toyVersion"), -1);
}

TEST(Lookup, UnknownNameIsSaidOnce) {
  SetLogLevels("info");
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) NoteUnknownName(toy::kLibrary, "toyUnheardOf");
  NoteUnknownName(toy::kLibrary, nullptr);
  NoteUnknownName(toy::kLibrary, "toyOther");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("'toyUnheardOf' is not in the table"), std::string::npos) << said;
  EXPECT_EQ(said.find("toyUnheardOf"), said.rfind("toyUnheardOf")) << said;
  EXPECT_NE(said.find("toyOther"), std::string::npos) << said;
}

}  // namespace
}  // namespace flexai::intercept
