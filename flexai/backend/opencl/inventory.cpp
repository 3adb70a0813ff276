#include "flexai/backend/opencl/inventory.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "flexai/backend/opencl/card_uuid.h"
#include "opencl/calls.h"

namespace flexai::backend::opencl {

namespace {

struct Loader {
  decltype(api::Real::clGetPlatformIDs) platforms;
  decltype(api::Real::clGetDeviceIDs) devices;
  decltype(api::Real::clGetDeviceInfo) info;
};

std::string Text(const Loader& cl, api::cl_device_id device, api::cl_device_info what) {
  char text[512] = {};
  if (cl.info(device, what, sizeof(text) - 1, text, nullptr) != 0) return "";
  return text;
}

template <typename T>
T Value(const Loader& cl, api::cl_device_id device, api::cl_device_info what) {
  T value = {};
  cl.info(device, what, sizeof(value), &value, nullptr);
  return value;
}

model::Card Describe(const Loader& cl, api::cl_device_id device) {
  const auto type = Value<api::cl_ulong>(cl, device, api::CL_DEVICE_TYPE);
  model::Card card;
  card.backend = "opencl";
  card.kind = type & api::CL_DEVICE_TYPE_CPU   ? "cpu"
              : type & api::CL_DEVICE_TYPE_GPU ? "gpu"
                                               : "accelerator";
  card.vendor = Text(cl, device, api::CL_DEVICE_VENDOR);
  card.model = Text(cl, device, api::CL_DEVICE_NAME);
  card.driver = Text(cl, device, api::CL_DRIVER_VERSION);
  card.uuid = CardUuid(cl.info, device);
  card.memory_bytes = Value<api::cl_ulong>(cl, device, api::CL_DEVICE_GLOBAL_MEM_SIZE);
  card.compute_units =
      static_cast<int>(Value<api::cl_uint>(cl, device, api::CL_DEVICE_MAX_COMPUTE_UNITS));
  return card;
}

// The file of the driver behind a device: what the table of functions at its handle leads to. A
// process that maps it may show the file's own name instead of the one by which it was opened.
void AddDriver(api::cl_device_id device, std::vector<std::string>* names) {
  void* const* table = *reinterpret_cast<void* const* const*>(device);
  constexpr int kSlot = api::kFunctions[api::ClGetDeviceInfoCall::kIndex].slot;
  Dl_info driver = {};
  if (!table || !dladdr(table[kSlot], &driver) || !driver.dli_fname) return;
  char* real = realpath(driver.dli_fname, nullptr);
  for (const char* path : {driver.dli_fname, static_cast<const char*>(real)}) {
    const char* slash = path ? strrchr(path, '/') : nullptr;
    const std::string name = slash ? slash + 1 : "";
    const bool known = std::any_of(names->begin(), names->end(), [&](const std::string& each) {
      return name.compare(0, each.size(), each) == 0;
    });
    if (!name.empty() && !known) names->push_back(name);
  }
  free(real);
}

class OpenClInventory : public device::Inventory {
 public:
  Result<std::vector<model::Card>> List() override;
};

Result<std::vector<model::Card>> OpenClInventory::List() {
  std::vector<model::Card> cards;
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return cards;
  Loader cl;
  cl.platforms = reinterpret_cast<decltype(cl.platforms)>(dlsym(library, "clGetPlatformIDs"));
  cl.devices = reinterpret_cast<decltype(cl.devices)>(dlsym(library, "clGetDeviceIDs"));
  cl.info = reinterpret_cast<decltype(cl.info)>(dlsym(library, "clGetDeviceInfo"));
  if (!cl.platforms || !cl.devices || !cl.info) {
    return Status(Code::kUnavailable, "libOpenCL.so.1 lacks functions of OpenCL 1.0");
  }
  api::cl_platform_id platforms[32];
  api::cl_uint platform_count = 0;
  if (cl.platforms(32, platforms, &platform_count) != 0) return cards;
  for (api::cl_uint p = 0; p < std::min(platform_count, 32u); ++p) {
    api::cl_device_id devices[64];
    api::cl_uint count = 0;
    const auto all = static_cast<api::cl_ulong>(api::CL_DEVICE_TYPE_ALL);
    if (cl.devices(platforms[p], all, 64, devices, &count) != 0) continue;
    for (api::cl_uint d = 0; d < std::min(count, 64u); ++d) {
      model::Card card = Describe(cl, devices[d]);
      const auto known = std::find_if(cards.begin(), cards.end(), [&card](const model::Card& c) {
        return c.kind == "cpu" && card.kind == "cpu";
      });
      if (known != cards.end()) {
        AddDriver(devices[d], &known->libraries);
        continue;
      }
      AddDriver(devices[d], &card.libraries);
      card.id = std::to_string(cards.size());
      cards.push_back(card);
    }
  }
  return cards;
}

}  // namespace

std::unique_ptr<device::Inventory> MakeInventory() { return std::make_unique<OpenClInventory>(); }

}  // namespace flexai::backend::opencl
