// The keyed digest by which the vendor's runtime and its driver know each other: MD2 (RFC 1319) as
// HMAC (RFC 2104).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace flexai::backend::cuda::fake_driver {

using Digest = std::array<uint8_t, 16>;

Digest Md2(const uint8_t* data, size_t size);
Digest HmacMd2(const Digest& key, const uint8_t* data, size_t size);

}  // namespace flexai::backend::cuda::fake_driver
