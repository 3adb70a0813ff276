// The functions of a fake driver: one small function per row, made from the generated call struct.
// Generated fake_exports.cpp includes this; the bodies are the vendor's fake's own, one
// specialisation of Run for each row whose `fake` is not "none". A missing one fails the link.
#pragma once

#include "flexai/fake/faults.h"
#include "flexai/intercept/call.h"

namespace flexai::fake {

/// What the table says a fake function does.
enum class Body : uint8_t { kAlloc, kFree, kCopy, kOk, kQuery, kCustom, kNothing, kNone };

/// The table behind this fake driver; each fake library defines it once.
const intercept::LibraryInfo& Library();

/// Does what the function does, on the card, and leaves result and out parameters in `call`.
template <class C>
void Run(C& call);

template <class C, Body kBody, class Signature = typename C::Signature>
struct Entry;

/// `Entry<C, body>::Invoke` has exactly the vendor's prototype.
template <class C, Body kBody, class R, class... A>
struct Entry<C, kBody, R(A...)> {
  static R Invoke(A... args) {
    C call{args...};
    const auto end = [&call](int64_t code) {
      intercept::EndWith(Library().ops[C::kIndex].fields, &call, code);
    };
    int64_t code = 0;
    if (Faults::Instance().Take(C::kName, &code)) {
      end(code);
    } else if constexpr (kBody == Body::kNone) {
      constexpr auto kCode = static_cast<int>(flexai::Code::kUnimplemented);
      end(Library().functions[C::kIndex].errors[kCode]);
    } else if constexpr (kBody == Body::kNothing) {
      constexpr auto kOkCode = static_cast<int>(flexai::Code::kOk);
      end(Library().functions[C::kIndex].errors[kOkCode]);
    } else {
      Run(call);
    }
    if constexpr (C::kReturns != intercept::Returns::kVoid) return call.result;
  }
};

}  // namespace flexai::fake
