// What a generated call struct says about each of its parameters. The wire's codec and the fakes
// are templates over `VisitParams`, which hands every field to a visitor together with one of these
// tags; fields.h has the same as data, for the rest:
//   template <class Tag, class T> void operator()(Tag tag, T& field)
// `Tag::kInfo` is known while compiling; counts are read from the call in hand.
#pragma once

#include <stddef.h>

#include <cstdint>
#include <type_traits>

namespace flexai::intercept {

enum class Direction : uint8_t { kIn, kOut, kInOut };

/// How the memory behind a parameter is laid out.
enum class Shape : uint8_t {
  kValue,    // the parameter itself is all there is
  kOne,      // points to one element
  kArray,    // points to Count() elements
  kBytes,    // points to Count() bytes
  kCString,  // zero-terminated text
  kList0,    // key, value, key, value, ..., 0
  kStrings,  // Count() pointers to text; Lengths() may be null, a length of 0 means zero-terminated
  kBlobs,    // Count() pointers to bytes of exactly Lengths()
  kOpaque,   // a pointer that is never followed
  kCallback,  // a function of the application
};

/// What a parameter means, beyond its bytes.
enum class Role : uint8_t {
  kNone,
  kHandle,  // names an object that exists
  kNew,     // receives the name of an object made by this call
  kDrop,    // names an object that this call gives up
  kCharge,  // the bytes that this call asks for
  kError,   // receives the vendor's error code
};

/// The part of a parameter's description that is known while compiling.
struct ParamInfo {
  const char* name;
  const char* type;
  uint8_t position;
  Direction direction;
  Shape shape;
  Role role;
  uint8_t handle_kind;  // the library's enum HandleKind; 0 = no handle
  bool optional;
  uint32_t element_size;  // bytes of one element behind a pointer, or of the value itself
};

/// Defaults of a tag; generated tags hide what differs.
template <class C>
struct ParamTag {
  using Of = C;
  constexpr explicit ParamTag(const C& in_call) : call(in_call) {}

  /// Elements (kArray, kStrings, kBlobs) or bytes (kBytes) that the caller provides behind the
  /// pointer.
  uint64_t Count() const { return 1; }
  /// Of an out parameter, after the call: how many of Count() the driver has written.
  uint64_t Filled() const { return ~uint64_t{0}; }
  /// Of kStrings and kBlobs: the lengths, one each, or null.
  const size_t* Lengths() const { return nullptr; }
  /// Of role kCharge: the bytes asked for.
  uint64_t Charge() const { return 0; }
  /// Of an answer whose meaning depends on the question: the kind of handle it holds; 0 = plain
  /// data.
  uint8_t AnswerHandle() const { return 0; }
  /// Of kList0: the kind of handle that stands behind `key`; 0 = a plain number.
  static constexpr uint8_t KeyHandle(int64_t) { return 0; }

  const C& call;
};

// The arithmetic of counts. It saturates, so that an application's senseless numbers become a count
// that nothing accepts instead of a small one.
constexpr uint64_t Plus(uint64_t a, uint64_t b) { return a > ~b ? ~uint64_t{0} : a + b; }
constexpr uint64_t Minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
constexpr uint64_t Times(uint64_t a, uint64_t b) {
  return b != 0 && a > ~uint64_t{0} / b ? ~uint64_t{0} : a * b;
}
constexpr uint64_t Most(uint64_t a, uint64_t b) { return a > b ? a : b; }
/// Element `index` behind `pointer`; 0 behind a null one.
template <class T>
constexpr uint64_t At(const T* pointer, int index) {
  return pointer ? static_cast<uint64_t>(pointer[index]) : 0;
}

/// How a function says whether it worked.
enum class Returns : uint8_t { kStatus, kHandle, kPointer, kValue, kVoid };

/// A handle, pointer or number as one word.
template <class T>
uint64_t ToWord(const T& value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<uintptr_t>(value);
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return static_cast<uint64_t>(value);
  } else {
    return 0;
  }
}

}  // namespace flexai::intercept
