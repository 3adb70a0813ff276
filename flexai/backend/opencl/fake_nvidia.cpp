#include "flexai/backend/opencl/fake_nvidia.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "flexai/backend/nvidia/fake_rm.h"
#include "flexai/backend/nvidia/import_slot.h"
#include "flexai/base/load_directly.h"
#include "flexai/fake/card.h"

namespace flexai::backend::opencl::fake_driver {
namespace {

using nvidia::fake_driver::PretendChannels;
using nvidia::fake_driver::PretendModule;

constexpr int kComputeChannels = 8, kCopyChannels = 12;

PretendModule& TheModule() {
  static PretendModule* const module = new PretendModule;
  return *module;
}
int AskModule(int fd, unsigned long request, void* argument) {
  return TheModule().Ioctl(fd, request, argument);
}

// The pretended kernel stands where the real one would be called: behind this library's import of
// ioctl, so that whoever puts himself between sees the calls.
__attribute__((constructor)) void StandBehindIoctl() {
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(&StandBehindIoctl), &self)) return;
  void* library = LoadDirectly(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  nvidia::ReplaceImport(library, "ioctl", reinterpret_cast<void*>(&AskModule));
  if (library) dlclose(library);
  TheModule().OnChange([](int card, bool stands) { fake::Card::Instance(card).Stop(stands); });
}

}  // namespace

bool IsNvidia() {
  const char* asked = getenv("FLEXAI_FAKE_OPENCL");
  return asked && strcmp(asked, "nvidia") == 0;
}

std::shared_ptr<void> MakeChannels() {
  if (!IsNvidia()) return nullptr;
  const auto call = [](int fd, unsigned long request, void* argument) {
    return ioctl(fd, request, argument);
  };
  return std::make_shared<PretendChannels>(+call, -1, kComputeChannels, kCopyChannels);
}

}  // namespace flexai::backend::opencl::fake_driver
