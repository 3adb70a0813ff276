// Compares our declaration of a vendor's type with the vendor's own: the templates behind generated
// parity tests. Types are the same if a call through one prototype is, in the machine, a call
// through the other.
#pragma once

#include <type_traits>

namespace flexai::intercept::parity {

/// Structs and the objects behind handles have different names on the two sides: generated code
/// says which belong together.
template <class Ours, class Theirs>
struct SameClass : std::false_type {};

template <class Ours, class Theirs>
struct SameType : std::bool_constant<[] {
  constexpr bool kOursNumber = std::is_integral_v<Ours> || std::is_enum_v<Ours>;
  constexpr bool kTheirsNumber = std::is_integral_v<Theirs> || std::is_enum_v<Theirs>;
  if constexpr (std::is_same_v<Ours, Theirs>) {
    return true;
  } else if constexpr (kOursNumber && kTheirsNumber) {
    return sizeof(Ours) == sizeof(Theirs) &&
           (std::is_enum_v<Theirs> || std::is_signed_v<Ours> == std::is_signed_v<Theirs>);
  } else if constexpr (std::is_class_v<Ours> &&
                       (std::is_class_v<Theirs> || std::is_union_v<Theirs>)) {
    return SameClass<Ours, Theirs>::value;
  } else {
    return false;
  }
}()> {};

template <class Ours, class Theirs>
struct SameType<Ours*, Theirs*>
    : std::bool_constant<std::is_const_v<Ours> == std::is_const_v<Theirs> &&
                         SameType<std::remove_cv_t<Ours>, std::remove_cv_t<Theirs>>::value> {};

template <class Ours, class Theirs, decltype(sizeof(0)) kOurs, decltype(sizeof(0)) kTheirs>
struct SameType<Ours[kOurs], Theirs[kTheirs]>
    : std::bool_constant<kOurs == kTheirs && SameType<Ours, Theirs>::value> {};

template <class R1, class... A1, class R2, class... A2>
struct SameType<R1(A1...), R2(A2...)> : std::bool_constant<[] {
  if constexpr (sizeof...(A1) != sizeof...(A2)) {
    return false;
  } else {
    return SameType<R1, R2>::value && (SameType<A1, A2>::value && ...);
  }
}()> {};

/// One comparison and its outcome, so that a test can name what differs.
struct Fact {
  const char* what;
  bool holds;
};

}  // namespace flexai::intercept::parity
