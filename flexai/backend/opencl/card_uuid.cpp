#include "flexai/backend/opencl/card_uuid.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <vector>

namespace flexai::backend::opencl {
namespace {

using Info = decltype(api::Real::clGetDeviceInfo);

constexpr api::cl_uint kNvidia = 0x10DE;  // its number as a vendor of PCI devices

std::string Text(Info info, api::cl_device_id device, api::cl_device_info what) {
  size_t size = 0;
  if (info(device, what, 0, nullptr, &size) != 0 || size == 0) return "";
  std::vector<char> text(size + 1);
  if (info(device, what, size, text.data(), nullptr) != 0) return "";
  return text.data();
}

// FNV-1a; a name for cards whose driver gives them none.
std::string MadeUuid(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  char hex[32];
  snprintf(hex, sizeof(hex), "opencl-%016llx", static_cast<unsigned long long>(hash));
  return hex;
}

const std::string& CpuUuid() {
  static const auto* const uuid = new std::string(MadeUuid("cpu"));
  return *uuid;
}

bool HasExtension(Info info, api::cl_device_id device, const char* name) {
  const std::string all = " " + Text(info, device, api::CL_DEVICE_EXTENSIONS) + " ";
  return all.find(std::string(" ") + name + " ") != std::string::npos;
}

std::string Written(const uint8_t (&uuid)[16], bool nvidia) {
  std::string text = nvidia ? "GPU" : "opencl";
  for (int i = 0; i < 16; ++i) {
    char byte[4];
    const bool begins_group = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    snprintf(byte, sizeof(byte), "%s%02x", begins_group ? "-" : "", uuid[i]);
    text += byte;
  }
  return text;
}

}  // namespace

std::string CardUuid(Info info, api::cl_device_id device) {
  api::cl_ulong type = 0;
  info(device, api::CL_DEVICE_TYPE, sizeof(type), &type, nullptr);
  if (type & api::CL_DEVICE_TYPE_CPU) return CpuUuid();
  uint8_t uuid[16] = {};
  if (HasExtension(info, device, "cl_khr_device_uuid") &&
      info(device, api::CL_DEVICE_UUID_KHR, sizeof(uuid), uuid, nullptr) == 0) {
    api::cl_uint vendor = 0;
    info(device, api::CL_DEVICE_VENDOR_ID, sizeof(vendor), &vendor, nullptr);
    return Written(uuid, vendor == kNvidia);
  }
  return MadeUuid(Text(info, device, api::CL_DEVICE_VENDOR) +
                  Text(info, device, api::CL_DEVICE_NAME) +
                  Text(info, device, api::CL_DRIVER_VERSION));
}

bool IsCpu(const char* uuid) { return CpuUuid() == uuid; }

}  // namespace flexai::backend::opencl
