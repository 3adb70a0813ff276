// What stands behind the fake driver's memory and code: addresses of the host's, modules that go
// with their context.
#include "flexai/backend/cuda/fake_objects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "flexai/backend/cuda/holdings.h"

namespace flexai::backend::cuda::fake_driver {

Location LocationIn(const void* properties) {
  // The table does not name the fields; both begin with two other words.
  Location location;
  memcpy(&location, static_cast<const char*>(properties) + 8, sizeof(location));
  return location;
}

uint64_t NewAddresses(uint64_t bytes, int protection) {
  void* at = mmap(nullptr, bytes ? bytes : 1, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? 0 : reinterpret_cast<uint64_t>(at);
}

// As the driver's: whole blocks begin at a multiple of their size.
uint64_t NewBlocks(uint64_t bytes) {
  const uint64_t room = NewAddresses(bytes + kBlock, PROT_READ | PROT_WRITE);
  if (room == 0) return 0;
  const uint64_t address = RoundUp(room, kBlock);
  const uint64_t before = address - room;
  if (before > 0) munmap(reinterpret_cast<void*>(room), before);
  if (before < kBlock) munmap(reinterpret_cast<void*>(address + bytes), kBlock - before);
  return address;
}

// Null where it is none.
const char* TextOf(const void* image) {
  const char* text = static_cast<const char*>(image);
  return text && strncmp(text, ".version", 8) == 0 ? text : nullptr;
}

// Of code that is text: the bytes of all arrays in a space.
uint64_t BytesIn(const char* text, const char* space) {
  uint64_t bytes = 0;
  for (const char* at = text; at && (at = strstr(at, space)) != nullptr; ++at) {
    const char* size = strpbrk(at, "[;");
    if (size && *size == '[') bytes += strtoull(size + 1, nullptr, 10);
  }
  return bytes;
}

std::shared_ptr<Module> NewModule(const void* image) {
  const char* bytes = getenv("FLEXAI_FAKE_MODULE");
  const char* text = TextOf(image);
  const uint64_t data = RoundUp(BytesIn(text, ".global"), kBlock);
  auto memory = TakeMemory(CurrentCard(), (bytes ? strtoull(bytes, nullptr, 10) : kBlock) + data);
  if (!memory) return nullptr;
  auto made = std::make_shared<Module>();
  made->memory = std::move(memory);
  made->room = BytesIn(text, ".local");
  made->allocates = text && strstr(text, "malloc");
  made->waiting = RoundUp(BytesIn(text, "lazily"), kBlock);
  Register(made);
  if (Context* context = Current()) context->modules.push_back(made);
  return made;
}

// For as many threads as the card runs at once. As measured on an H100.
bool SetRoom(Context& context, uint64_t each) {
  const auto threads = static_cast<uint64_t>(Attribute(context.card, 16)) *
                       static_cast<uint64_t>(Attribute(context.card, 39));
  if (each <= context.room) context.more_room.clear();
  const uint64_t has = context.more_room.empty() ? kFirstRoom : context.room;
  if (each > has) {
    auto more = TakeMemory(context.card, RoundUp((RoundUp(each, 16) - has) * threads, kBlock));
    if (!more) return false;
    context.more_room.push_back(std::move(more));
  }
  context.room = each;
  return true;
}

bool LoadCodeOf(const Function& function) {
  const std::shared_ptr<Module> module = function.module.lock();
  if (!module) return true;
  std::lock_guard<std::mutex> lock(module->mu);
  if (module->waiting == 0 || module->loaded) return true;
  module->loaded = TakeMemory(CurrentCard(), module->waiting);
  return module->loaded != nullptr;
}

bool MakeRoom(Context* context, const Function& function) {
  if (!LoadCodeOf(function)) return false;
  if (!context) return true;
  if (function.room > context->room && !SetRoom(*context, function.room)) return false;
  if (!function.allocates || context->heap) return true;
  context->heap = TakeMemory(context->card, RoundUp(context->heap_bytes, kBlock) + kBlock);
  return context->heap != nullptr;
}

void FreeModulesOf(Context& context) {
  for (const auto& each : context.modules) {
    const std::shared_ptr<Module> module = each.lock();
    if (!module) continue;
    module->memory.reset();
    std::lock_guard<std::mutex> lock(module->mu);
    module->loaded.reset();
  }
  context.modules.clear();
}

}  // namespace flexai::backend::cuda::fake_driver
