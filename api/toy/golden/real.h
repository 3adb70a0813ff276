// Generated from api/toy/toy.toml by tools/gen; do not edit.

#pragma once

#include "toy/calls.h"

namespace flexai::api::toy {

/// Where calls go next: pointers of the driver (or loader) behind us, in the order of the indices.
struct Real {
  toy_status (*toyListCards)(toy_u32, toy_card*, toy_u32*) = nullptr;
  toy_status (*toyAsk)(toy_card, toy_question, size_t, void*, size_t*) = nullptr;
  toy_context (*toyCreateContext)(const toy_property*, toy_notify, void*, toy_status*) = nullptr;
  toy_status (*toyAlloc)(toy_context, toy_memory*, size_t) = nullptr;
  toy_status (*toyFree)(toy_memory) = nullptr;
  toy_status (*toyCopyRect)(toy_memory, const void*, const size_t*, size_t) = nullptr;
  toy_module (*toyLoad)(toy_context, toy_u32, const char**, const size_t*, const unsigned char**, const size_t*, const char*, toy_status*) = nullptr;
  toy_status (*toyLaunch)(toy_module, const toy_grid*, toy_u32*) = nullptr;
  void (*toySync)(toy_context) = nullptr;
  void* (*toyMap)(toy_memory) = nullptr;
  void* (*toyLookUp)(const char*) = nullptr;
  toy_u32 (*toyVersionEXT)() = nullptr;
};
static_assert(sizeof(Real) == kFunctionCount * sizeof(void*));

inline void* const* AsTable(const Real& real) {
  return reinterpret_cast<void* const*>(&real);
}
inline void** AsTable(Real& real) {
  return reinterpret_cast<void**>(&real);
}

}  // namespace flexai::api::toy
