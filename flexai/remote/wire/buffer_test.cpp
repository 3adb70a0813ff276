#include "flexai/remote/wire/buffer.h"

#include <gtest/gtest.h>

namespace flexai::remote::wire {
namespace {

TEST(Buffer, ReadsWhatWasWritten) {
  Writer out;
  out.Number(uint32_t{7});
  out.Bytes("abc", 3);
  out.Number(int64_t{-2});
  Reader in(out.data(), out.size());
  uint32_t first = 0;
  int64_t last = 0;
  EXPECT_TRUE(in.Number(&first));
  const uint8_t* text = in.Take(3);
  ASSERT_NE(text, nullptr);
  EXPECT_EQ(memcmp(text, "abc", 3), 0);
  EXPECT_TRUE(in.Number(&last));
  EXPECT_EQ(first, 7u);
  EXPECT_EQ(last, -2);
  EXPECT_EQ(in.remaining(), 0u);
}

TEST(Buffer, ReaderStopsAtTheEnd) {
  const uint8_t bytes[3] = {1, 2, 3};
  Reader in(bytes, sizeof bytes);
  uint32_t number = 9;
  EXPECT_FALSE(in.Number(&number));
  EXPECT_EQ(number, 9u);
  EXPECT_EQ(in.Take(4), nullptr);
  EXPECT_EQ(in.Take(~uint64_t{0}), nullptr);
  EXPECT_NE(in.Take(3), nullptr);
  EXPECT_NE(in.Take(0), nullptr);
  Reader empty(nullptr, 0);
  EXPECT_EQ(empty.Take(1), nullptr);
}

TEST(Buffer, WriterRefusesWhatIsTooLong) {
  Writer out;
  const uint8_t byte = 1;
  out.Bytes(&byte, kMostMessageBytes + 1);
  EXPECT_FALSE(out.ok());
  out.Number(uint8_t{1});
  EXPECT_EQ(out.size(), 0u);
  out.Clear();
  out.Number(uint8_t{1});
  EXPECT_TRUE(out.ok());
  EXPECT_EQ(out.size(), 1u);
}

TEST(Buffer, MemoryIsZeroedAlignedAndLimited) {
  Memory memory(1000);
  auto* first = static_cast<uint8_t*>(memory.Take(100));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 16, 0u);
  for (uint64_t i = 0; i < 100 + Memory::kSlackBytes; ++i) EXPECT_EQ(first[i], 0);
  EXPECT_EQ(memory.Take(1000), nullptr);
  EXPECT_EQ(memory.Take(~uint64_t{0}), nullptr);
  EXPECT_NE(memory.Take(100), nullptr);
  EXPECT_EQ(memory.Take(200), nullptr);
}

}  // namespace
}  // namespace flexai::remote::wire
