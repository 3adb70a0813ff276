#include "flexai/backend/opencl/inventory.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>

#include "flexai/backend/opencl/card_uuid.h"

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

// The drivers that the loader has brought in, by their file names.
std::vector<std::string> LoadedDrivers() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        const char* slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : nullptr;
        void* handle = slash ? dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD) : nullptr;
        if (!handle) return 0;
        // Drivers and loaders both have this entry.
        const bool loader = strncmp(slash + 1, "libOpenCL", strlen("libOpenCL")) == 0;
        if (!loader && dlsym(handle, "clGetExtensionFunctionAddress")) {
          static_cast<std::vector<std::string>*>(out)->push_back(slash + 1);
        }
        dlclose(handle);
        return 0;
      },
      &names);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
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
      const bool known = card.kind == "cpu" && std::any_of(cards.begin(), cards.end(),
                                                           [](auto& c) { return c.kind == "cpu"; });
      if (known) continue;
      card.id = std::to_string(cards.size());
      cards.push_back(card);
    }
  }
  const std::vector<std::string> drivers = LoadedDrivers();
  for (model::Card& card : cards) card.libraries = drivers;
  return cards;
}

}  // namespace

std::unique_ptr<device::Inventory> MakeInventory() { return std::make_unique<OpenClInventory>(); }

}  // namespace flexai::backend::opencl
