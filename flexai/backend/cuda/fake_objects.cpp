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

// Of code that is text: the bytes of its own data.
uint64_t DataOf(const void* image) {
  const char* text = static_cast<const char*>(image);
  if (!text || strncmp(text, ".version", 8) != 0) return 0;
  uint64_t bytes = 0;
  for (const char* at = text; (at = strstr(at, ".global")) != nullptr; ++at) {
    const char* size = strpbrk(at, "[;");
    if (size && *size == '[') bytes += strtoull(size + 1, nullptr, 10);
  }
  return bytes;
}

std::shared_ptr<Module> NewModule(const void* image) {
  const char* bytes = getenv("FLEXAI_FAKE_MODULE");
  const uint64_t data = RoundUp(DataOf(image), kBlock);
  auto memory = TakeMemory(CurrentCard(), (bytes ? strtoull(bytes, nullptr, 10) : kBlock) + data);
  if (!memory) return nullptr;
  auto made = std::make_shared<Module>();
  made->memory = std::move(memory);
  Register(made);
  if (Context* context = Current()) context->modules.push_back(made);
  return made;
}

void FreeModulesOf(Context& context) {
  for (const auto& each : context.modules) {
    if (const std::shared_ptr<Module> module = each.lock()) module->memory.reset();
  }
  context.modules.clear();
}

}  // namespace flexai::backend::cuda::fake_driver
