// Generated from api/toy/toy.toml by tools/gen; do not edit.
// libtoy.so.1, one symbol per row. Needs from flexai/backend/toy/exported.h: g_chassis,
// kExportedDoor, g_exported_open, OpenExportedNow(), where there are doors LookUp(door, asked of, name, found), and where symbols
// have no row Passed(name).
#include "flexai/backend/toy/exported.h"
#include "flexai/intercept/entry.h"
#include "toy/calls.h"

#define FLEXAI_EXPORT extern "C" __attribute__((visibility("default")))

namespace flexai::api::toy {

FLEXAI_EXPORT toy_status toyListCards(toy_u32 capacity, toy_card* cards, toy_u32* found) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyListCardsCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(capacity, cards, found);
  return intercept::Entry<ToyListCardsCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(capacity, cards, found);
}

FLEXAI_EXPORT toy_status toyAsk(toy_card card, toy_question question, size_t size, void* answer, size_t* needed) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyAskCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(card, question, size, answer, needed);
  return intercept::Entry<ToyAskCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(card, question, size, answer, needed);
}

FLEXAI_EXPORT toy_context toyCreateContext(const toy_property* properties, toy_notify notify, void* user_data, toy_status* error) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyCreateContextCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(properties, notify, user_data, error);
  return intercept::Entry<ToyCreateContextCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(properties, notify, user_data, error);
}

FLEXAI_EXPORT toy_status toyAlloc(toy_context context, toy_memory* memory, size_t size) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyAllocCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(context, memory, size);
  return intercept::Entry<ToyAllocCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(context, memory, size);
}

FLEXAI_EXPORT toy_status toyFree(toy_memory memory) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyFreeCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(memory);
  return intercept::Entry<ToyFreeCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(memory);
}

FLEXAI_EXPORT toy_status toyCopyRect(toy_memory to, const void* from, const size_t* region, size_t pitch) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyCopyRectCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(to, from, region, pitch);
  return intercept::Entry<ToyCopyRectCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(to, from, region, pitch);
}

FLEXAI_EXPORT toy_module toyLoad(toy_context context, toy_u32 count, const char** texts, const size_t* lengths, const unsigned char** images, const size_t* image_sizes, const char* options, toy_status* error) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyLoadCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(context, count, texts, lengths, images, image_sizes, options, error);
  return intercept::Entry<ToyLoadCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(context, count, texts, lengths, images, image_sizes, options, error);
}

FLEXAI_EXPORT toy_status toyLaunch(toy_module module, const toy_grid* grid, toy_u32* counters) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyLaunchCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(module, grid, counters);
  return intercept::Entry<ToyLaunchCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(module, grid, counters);
}

FLEXAI_EXPORT void toySync(toy_context context) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToySyncCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(context);
  return intercept::Entry<ToySyncCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(context);
}

FLEXAI_EXPORT void* toyMap(toy_memory memory) {
  if (!backend::toy::g_exported_open.load(std::memory_order_acquire)) [[unlikely]]
    return intercept::Opening<intercept::Entry<ToyMapCall, backend::toy::g_chassis, backend::toy::kExportedDoor>, &backend::toy::OpenExportedNow>::Invoke(memory);
  return intercept::Entry<ToyMapCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(memory);
}

FLEXAI_EXPORT void* toyLookUp(const char* name) {
  backend::toy::OpenExported();
  return backend::toy::LookUp(backend::toy::kExportedDoor, "toyLookUp", name,
                 intercept::Entry<ToyLookUpCall, backend::toy::g_chassis, backend::toy::kExportedDoor>::Invoke(name));
}

}  // namespace flexai::api::toy
