// The fields of calls as data: words of every size, and what roles say, on the made-up library toy.
#include "flexai/intercept/fields.h"

#include <gtest/gtest.h>

#include "flexai/intercept/toy_driver.h"

namespace flexai::intercept {
namespace {

template <class C>
const Fields& Of() {
  return toy::kLibrary.ops[C::kIndex].fields;
}

TEST(FieldsTest, WordsOfEverySize) {
  const int8_t one = -1;
  const int16_t two = -2;
  const int32_t four = -3;
  const int64_t eight = -4;
  EXPECT_EQ(static_cast<int64_t>(ReadWord(&one, Word::kSigned, 1)), -1);
  EXPECT_EQ(static_cast<int64_t>(ReadWord(&two, Word::kSigned, 2)), -2);
  EXPECT_EQ(static_cast<int64_t>(ReadWord(&four, Word::kSigned, 4)), -3);
  EXPECT_EQ(static_cast<int64_t>(ReadWord(&eight, Word::kSigned, 8)), -4);
  EXPECT_EQ(ReadWord(&one, Word::kUnsigned, 1), 0xffu);
  EXPECT_EQ(ReadWord(&two, Word::kUnsigned, 2), 0xfffeu);
  EXPECT_EQ(ReadWord(&four, Word::kUnsigned, 4), 0xfffffffdu);
  EXPECT_EQ(ReadWord(&eight, Word::kPointer, 8), ~uint64_t{3});
  EXPECT_EQ(ReadWord(&eight, Word::kOther, 8), 0u);
  EXPECT_EQ(ReadWord(&eight, Word::kUnsigned, 3), 0u);
}

TEST(FieldsTest, ATableHoldsEveryParameterAndTheResult) {
  const Fields& fields = Of<toy::ToyListCardsCall>();
  ASSERT_EQ(fields.params, 3);
  EXPECT_STREQ(fields.all[0].name, "capacity");
  EXPECT_EQ(fields.all[1].offset, offsetof(toy::ToyListCardsCall, cards));
  EXPECT_EQ(fields.all[1].element_size, sizeof(toy::toy_card));
  EXPECT_EQ(fields.result().offset, offsetof(toy::ToyListCardsCall, result));
  EXPECT_EQ(Of<toy::ToySyncCall>().returns, Returns::kVoid);
}

TEST(FieldsTest, WhatWasMadeIsReadBehindAPointerOrFromTheResult) {
  toy::toy_memory memory = 0x30;
  toy::ToyAllocCall alloc{nullptr, &memory, 7};
  EXPECT_EQ(CreatedOf(Of<toy::ToyAllocCall>(), &alloc), 0x30u);
  EXPECT_EQ(ChargeOf(Of<toy::ToyAllocCall>(), &alloc), 7u);
  alloc.memory = nullptr;
  EXPECT_EQ(CreatedOf(Of<toy::ToyAllocCall>(), &alloc), 0u);
  toy::ToyCreateContextCall create{};
  create.result = reinterpret_cast<toy::toy_context>(0x40);
  EXPECT_EQ(CreatedOf(Of<toy::ToyCreateContextCall>(), &create), 0x40u);
}

TEST(FieldsTest, ACodeGoesWhereTheFunctionReportsErrors) {
  toy::toy_status error = 7;
  toy::ToyCreateContextCall create{};
  create.error = &error;
  create.result = reinterpret_cast<toy::toy_context>(0x40);
  EXPECT_TRUE(IsOk(Of<toy::ToyCreateContextCall>(), &create, toy::TOY_OK));
  EndWith(Of<toy::ToyCreateContextCall>(), &create, toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(error, toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(create.result, nullptr);
  EXPECT_FALSE(IsOk(Of<toy::ToyCreateContextCall>(), &create, toy::TOY_OK));
  create.error = nullptr;
  EndWith(Of<toy::ToyCreateContextCall>(), &create, toy::TOY_ERROR_MEMORY);
  toy::ToyListCardsCall list{};
  EndWith(Of<toy::ToyListCardsCall>(), &list, toy::TOY_ERROR_VALUE);
  EXPECT_EQ(list.result, toy::TOY_ERROR_VALUE);
  EXPECT_FALSE(IsOk(Of<toy::ToyListCardsCall>(), &list, toy::TOY_OK));
}

TEST(FieldsTest, AnObjectThatIsGivenUpIsNamedToo) {
  toy::ToyFreeCall call{};
  const Fields& fields = Of<toy::ToyFreeCall>();
  call.memory = 0x50;
  EXPECT_EQ(DroppedOf(fields, &call), 0x50u);
  EXPECT_EQ(HandleOf(fields, &call), 0x50u);
  EXPECT_EQ(DroppedOf(Of<toy::ToySyncCall>(), &call), 0u);
}

}  // namespace
}  // namespace flexai::intercept
