// What encoder and decoder share about one field: element types, words, and how a failure is said.
#pragma once

#include <string.h>

#include <cstdint>
#include <type_traits>

#include "flexai/base/status.h"
#include "flexai/intercept/param.h"

namespace flexai::remote::wire {

using intercept::Direction;
using intercept::ParamInfo;
using intercept::Role;
using intercept::Shape;

inline constexpr int kMostParams = 32;
inline constexpr uint32_t kMostStrings = 1u << 20;
inline constexpr uint32_t kMostListWords = 1u << 10;

/// The first failure of a codec. What comes after it is skipped.
struct Failure {
  const char* param = "";
  const char* what = nullptr;
  Code code = Code::kInvalidArgument;

  void Set(const char* in_param, const char* in_what, Code in_code = Code::kInvalidArgument) {
    if (what) return;
    param = in_param;
    what = in_what;
    code = in_code;
  }
  Status ToStatus(const char* function) const;
};

/// What is behind a pointer, without const; bytes for void.
template <class T>
struct ElementOf {
  using Bare = std::remove_const_t<std::remove_pointer_t<T>>;
  using Type = std::conditional_t<std::is_void_v<Bare>, uint8_t, Bare>;
};
template <class T>
using Element = typename ElementOf<T>::Type;

template <class T>
T FromWord(uint64_t word) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(static_cast<uintptr_t>(word));
  } else {
    return static_cast<T>(word);
  }
}

constexpr bool IsPointerShape(Shape shape) {
  return shape != Shape::kValue && shape != Shape::kOpaque && shape != Shape::kCallback;
}
constexpr bool IsFlatShape(Shape shape) {
  return shape == Shape::kOne || shape == Shape::kArray || shape == Shape::kBytes;
}

/// How many elements the caller provides behind a flat pointer.
template <class Tag>
uint64_t CountOf([[maybe_unused]] const Tag& tag) {
  if constexpr (Tag::kInfo.shape == Shape::kOne) {
    return 1;
  } else {
    return tag.Count();
  }
}

/// What the generic codec can carry: nothing whose meaning ends at the process.
template <class Tag, class T>
constexpr void CheckCarried() {
  static_assert(Tag::kInfo.shape != Shape::kCallback, "a callback needs a hand-written codec");
  static_assert(Tag::kInfo.shape != Shape::kOpaque || Tag::kInfo.handle_kind != 0,
                "an opaque pointer needs a hand-written codec");
  static_assert(
      Tag::kInfo.shape != Shape::kValue || !std::is_pointer_v<T> || Tag::kInfo.handle_kind != 0,
      "an address needs a hand-written codec");
  static_assert(Tag::kInfo.position < kMostParams);
}

}  // namespace flexai::remote::wire
