// Generated from api/toy/toy.toml by tools/gen; do not edit.

#pragma once

#include <stddef.h>

#include <cstdint>

namespace flexai::api::toy {

using toy_status = int32_t;
using toy_u32 = uint32_t;
using toy_memory = uint64_t;
using toy_property = intptr_t;
using toy_question = toy_u32;
using toy_card = struct toy_card_object*;
using toy_context = struct toy_context_object*;
using toy_module = struct toy_module_object*;

struct toy_grid {
  size_t count[3];
  toy_u32 shared_bytes;
  toy_u32 flags;
};
static_assert(sizeof(toy_grid) == 32);

struct alignas(8) toy_label {
  unsigned char bytes[24];
};
static_assert(sizeof(toy_label) == 24);

using toy_notify = void (*)(const char* message, void* user_data);

/// Kinds of objects that handles name.
enum class HandleKind : uint8_t {
  kNone,
  kCard,
  kContext,
  kModule,
  kMemory,
};

inline constexpr int64_t TOY_OK = 0;
inline constexpr int64_t TOY_ERROR_VALUE = -1;
inline constexpr int64_t TOY_ERROR_MEMORY = -2;
inline constexpr int64_t TOY_ERROR_UNSUPPORTED = -3;
inline constexpr int64_t TOY_ERROR_OTHER = -4;
inline constexpr int64_t TOY_ERROR_NO_CARD = -5;
inline constexpr int64_t TOY_CARD_NAME = 1;
inline constexpr int64_t TOY_CARD_PARENT = 2;
inline constexpr int64_t TOY_PROPERTY_CARD = 16;

}  // namespace flexai::api::toy
