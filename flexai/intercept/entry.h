// The machine code behind every exported symbol and table slot: one small function per (function,
// door), made from the generated call struct. Nothing here knows a vendor.
#pragma once

#include "flexai/intercept/chassis.h"
#include "flexai/intercept/param.h"

namespace flexai::intercept {

template <class C, auto& kChassis, int kDoor, class Signature = typename C::Signature>
struct Entry;

/// `Entry<C, chassis, door>::Invoke` has exactly the vendor's prototype.
template <class C, auto& kChassis, int kDoor, class R, class... A>
struct Entry<C, kChassis, kDoor, R(A...)> {
  static R Invoke(A... args) {
    void* next = kChassis.Next(kDoor, C::kIndex);
    const uint8_t state = kChassis.State(C::kIndex);
    // What a program does most and what waits for nothing: no struct is built for it.
    if constexpr (C::kEvent == Event::kLaunch && requires { &C::QueueOf; }) {
      if (next && kChassis.TakesShortWay(state, C::kIndex, C::QueueOf(args...),
                                         C::HandleOf(args...))) [[likely]] {
        return reinterpret_cast<R (*)(A...)>(next)(args...);
      }
    }
    if (next && state == Chassis::kStarted) return reinterpret_cast<R (*)(A...)>(next)(args...);
    return Long(args...);
  }

 private:
  // Not inline: the short ways shall not make room for it.
  [[gnu::noinline]] static R Long(A... args) {
    C call{args...};
    kChassis.Run(kDoor, C::kIndex, &call, kChassis.Next(kDoor, C::kIndex));
    if constexpr (C::kReturns != Returns::kVoid) return call.result;
  }
};

/// An entry in front of which `kOpen` runs: for the first call of an exported symbol.
template <class E, auto kOpen>
struct Opening {
  template <class... A>
  [[gnu::noinline, gnu::cold]] static auto Invoke(A... args) {
    kOpen();
    return E::Invoke(args...);
  }
};

/// The entry of one function at the door of this number, for tables that are filled while running.
template <class C, auto& kChassis>
void* EntryAt(int door) {
  static_assert(kMaxDoors == 4);
  switch (door) {
    case 0:
      return reinterpret_cast<void*>(&Entry<C, kChassis, 0>::Invoke);
    case 1:
      return reinterpret_cast<void*>(&Entry<C, kChassis, 1>::Invoke);
    case 2:
      return reinterpret_cast<void*>(&Entry<C, kChassis, 2>::Invoke);
    default:
      return reinterpret_cast<void*>(&Entry<C, kChassis, 3>::Invoke);
  }
}

}  // namespace flexai::intercept
