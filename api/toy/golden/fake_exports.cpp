// Generated from api/toy/toy.toml by tools/gen; do not edit.
// Needs from flexai/fake/entry.h: enum class Body, and Entry<Call, Body>::Invoke with the call's signature.
#include "flexai/fake/entry.h"
#include "toy/calls.h"

#define FLEXAI_EXPORT extern "C" __attribute__((visibility("default")))

namespace flexai::api::toy {

/// The fake driver's functions by index, for drivers that are reached through a table.
extern void* const kFakeFunctions[kFunctionCount];
void* const kFakeFunctions[kFunctionCount] = {
    reinterpret_cast<void*>(&fake::Entry<ToyListCardsCall, fake::Body::kCustom>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyAskCall, fake::Body::kQuery>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyCreateContextCall, fake::Body::kAlloc>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyAllocCall, fake::Body::kAlloc>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyFreeCall, fake::Body::kFree>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyCopyRectCall, fake::Body::kCopy>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyLoadCall, fake::Body::kAlloc>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyLaunchCall, fake::Body::kCustom>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToySyncCall, fake::Body::kOk>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyMapCall, fake::Body::kNone>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyLookUpCall, fake::Body::kCustom>::Invoke),
    reinterpret_cast<void*>(&fake::Entry<ToyVersionEXTCall, fake::Body::kOk>::Invoke),
};

FLEXAI_EXPORT toy_status toyListCards(toy_u32 capacity, toy_card* cards, toy_u32* found) {
  return fake::Entry<ToyListCardsCall, fake::Body::kCustom>::Invoke(capacity, cards, found);
}

FLEXAI_EXPORT toy_status toyAsk(toy_card card, toy_question question, size_t size, void* answer, size_t* needed) {
  return fake::Entry<ToyAskCall, fake::Body::kQuery>::Invoke(card, question, size, answer, needed);
}

FLEXAI_EXPORT toy_context toyCreateContext(const toy_property* properties, toy_notify notify, void* user_data, toy_status* error) {
  return fake::Entry<ToyCreateContextCall, fake::Body::kAlloc>::Invoke(properties, notify, user_data, error);
}

FLEXAI_EXPORT toy_status toyAlloc(toy_context context, toy_memory* memory, size_t size) {
  return fake::Entry<ToyAllocCall, fake::Body::kAlloc>::Invoke(context, memory, size);
}

FLEXAI_EXPORT toy_status toyFree(toy_memory memory) {
  return fake::Entry<ToyFreeCall, fake::Body::kFree>::Invoke(memory);
}

FLEXAI_EXPORT toy_status toyCopyRect(toy_memory to, const void* from, const size_t* region, size_t pitch) {
  return fake::Entry<ToyCopyRectCall, fake::Body::kCopy>::Invoke(to, from, region, pitch);
}

FLEXAI_EXPORT toy_module toyLoad(toy_context context, toy_u32 count, const char** texts, const size_t* lengths, const unsigned char** images, const size_t* image_sizes, const char* options, toy_status* error) {
  return fake::Entry<ToyLoadCall, fake::Body::kAlloc>::Invoke(context, count, texts, lengths, images, image_sizes, options, error);
}

FLEXAI_EXPORT toy_status toyLaunch(toy_module module, const toy_grid* grid, toy_u32* counters) {
  return fake::Entry<ToyLaunchCall, fake::Body::kCustom>::Invoke(module, grid, counters);
}

FLEXAI_EXPORT void toySync(toy_context context) {
  return fake::Entry<ToySyncCall, fake::Body::kOk>::Invoke(context);
}

FLEXAI_EXPORT void* toyMap(toy_memory memory) {
  return fake::Entry<ToyMapCall, fake::Body::kNone>::Invoke(memory);
}

FLEXAI_EXPORT void* toyLookUp(const char* name) {
  return fake::Entry<ToyLookUpCall, fake::Body::kCustom>::Invoke(name);
}

}  // namespace flexai::api::toy
