// Calls as text: every shape of the grammar, and lines that are too long.
#include "flexai/intercept/print.h"

#include <gtest/gtest.h>

#include "flexai/intercept/toy_driver.h"

namespace flexai::intercept {
namespace {

template <class C>
std::string Printed(C call, size_t size = 400) {
  std::string out(size, '?');
  out.resize(PrintCall(toy::kLibrary.ops[C::kIndex].fields, &call, C::kName, true, out));
  return out;
}

TEST(Print, ShapesOfParameters) {
  toy::toy_card cards[] = {reinterpret_cast<toy::toy_card>(0x10),
                           reinterpret_cast<toy::toy_card>(0x20)};
  toy::toy_u32 found = 1;
  EXPECT_EQ(Printed(toy::ToyListCardsCall{2, cards, &found}),
            "toyListCards(capacity=2, cards=[0x10], found=1) = 0");
  EXPECT_EQ(Printed(toy::ToyListCardsCall{0, nullptr, nullptr}),
            "toyListCards(capacity=0, cards=null, found=null) = 0");
  const toy::toy_property list[] = {0x10, 0x99, 0};
  EXPECT_EQ(
      Printed(toy::ToyCreateContextCall{list, nullptr, nullptr, nullptr}),
      "toyCreateContext(properties=[0x10: 0x99], notify=null, user_data=null, error=null) = null");
  const size_t region[] = {8, 4};
  EXPECT_EQ(Printed(toy::ToyCopyRectCall{3, nullptr, region, 10}),
            "toyCopyRect(to=0x3, from=null, region=[8, 4], pitch=10) = 0");
  EXPECT_EQ(Printed(toy::ToyLookUpCall{"toy\nFind"}), "toyLookUp(name=\"toy.Find\") = null");
  EXPECT_EQ(Printed(toy::ToySyncCall{}), "toySync(context=null)");
  toy::toy_grid grid = {{1, 2, 3}, 0, 1};
  toy::toy_u32 counter = 9;
  EXPECT_EQ(Printed(toy::ToyLaunchCall{nullptr, &grid, &counter}),
            "toyLaunch(module=null, grid={...}, counters=[9]) = 0");
}

TEST(Print, AFailedCallIsPrintedWithoutReadingBehindPointers) {
  auto* nowhere = reinterpret_cast<toy::toy_card*>(0x10);
  toy::ToyListCardsCall call{2, nowhere, reinterpret_cast<toy::toy_u32*>(0x20)};
  call.result = toy::TOY_ERROR_VALUE;
  char out[100];
  PrintCall(toy::kLibrary.ops[call.kIndex].fields, &call, call.kName, false, out);
  EXPECT_STREQ(out, "toyListCards(capacity=2, cards=0x10, found=0x20) = -1");
}

TEST(Print, CountsSaturate) {
  const size_t empty[] = {0, 0};
  toy::ToyCopyRectCall call{3, empty, empty, 0};
  EXPECT_EQ(toy::ToyCopyRectCall::FromTag{call}.Count(), 0u);
  const size_t huge[] = {~size_t{0}, ~size_t{0}};
  call.region = huge;
  EXPECT_EQ(toy::ToyCopyRectCall::FromTag{call}.Count(), ~uint64_t{0});
  call.region = nullptr;
  EXPECT_EQ(toy::ToyCopyRectCall::FromTag{call}.Count(), 0u);
  const size_t region[] = {8, 4};
  call.region = region;
  call.pitch = 10;
  EXPECT_EQ(toy::ToyCopyRectCall::FromTag{call}.Count(), 38u);
}

TEST(Print, CutsWhatDoesNotFit) {
  EXPECT_EQ(Printed(toy::ToyLookUpCall{"abc"}, 12), "toyLookUp(n");
  EXPECT_EQ(Printed(toy::ToyLookUpCall{"abc"}, 1), "");
  char none = 'x';
  LineWriter line(&none, 0);
  line.Text("abc");
  EXPECT_EQ(none, 'x');
  const std::string longer(100, 'a');
  EXPECT_EQ(Printed(toy::ToyLookUpCall{longer.c_str()}),
            "toyLookUp(name=\"" + longer.substr(0, 48) + "...\") = null");
}

TEST(Print, Numbers) {
  char out[64];
  LineWriter line(out, sizeof out);
  line.Signed(INT64_MIN);
  line.Text(" ");
  line.Unsigned(~uint64_t{0});
  line.Text(" ");
  line.Hex(0);
  EXPECT_STREQ(out, "-9223372036854775808 18446744073709551615 0x0");
}

}  // namespace
}  // namespace flexai::intercept
