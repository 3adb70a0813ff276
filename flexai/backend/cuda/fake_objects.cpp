// What stands behind the fake driver's memory and code: addresses of the host's, modules that go
// with their context.
#include "flexai/backend/cuda/fake_objects.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "flexai/backend/cuda/holdings.h"

namespace flexai::backend::cuda::fake_driver {

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

std::shared_ptr<Module> NewModule() {
  const char* bytes = getenv("FLEXAI_FAKE_MODULE");
  auto memory = TakeMemory(bytes ? strtoull(bytes, nullptr, 10) : kBlock);
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
