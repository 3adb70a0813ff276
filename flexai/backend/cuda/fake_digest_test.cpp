#include "flexai/backend/cuda/fake_digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace flexai::backend::cuda::fake_driver {
namespace {

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

std::string Hex(const Digest& digest) {
  std::string text;
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string Md2Of(std::string_view text) { return Hex(Md2(Bytes(text), text.size())); }

// RFC 1319, A.5.
TEST(FakeDigest, Md2) {
  EXPECT_EQ(Md2Of(""), "8350e5a3e24c153df2275c9f80692773");
  EXPECT_EQ(Md2Of("abc"), "da853b0d3f88d99b30283a69e6ded6bb");
  EXPECT_EQ(Md2Of("abcdefghijklmnopqrstuvwxyz"), "4e8ddff3650292ab5a4108c3aa47940b");
}

// Spelled out once by hand: H(key ^ 0x5c, H(key ^ 0x36, text)).
TEST(FakeDigest, Hmac) {
  const std::string_view text = "what was said";
  const Digest key = {1, 2, 3};
  std::string inner(16, 0x36), outer(16, 0x5c);
  for (size_t i = 0; i < 3; ++i) {
    inner[i] ^= static_cast<char>(key[i]);
    outer[i] ^= static_cast<char>(key[i]);
  }
  inner += text;
  const Digest of_inner = Md2(Bytes(inner), inner.size());
  outer.append(reinterpret_cast<const char*>(of_inner.data()), of_inner.size());
  EXPECT_EQ(Hex(HmacMd2(key, Bytes(text), text.size())), Hex(Md2(Bytes(outer), outer.size())));
}

}  // namespace
}  // namespace flexai::backend::cuda::fake_driver
