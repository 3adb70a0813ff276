#include "flexai/backend/opencl/own_devices.h"

#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "flexai/backend/opencl/card_uuid.h"
#include "flexai/backend/opencl/doors.h"
#include "flexai/base/log.h"

namespace flexai::backend::opencl {

using intercept::Call;

namespace {

using Devices = std::vector<api::cl_device_id>;

bool IsOwn(api::cl_device_id device, const char* uuid) {
  return CardUuid(Real().clGetDeviceInfo, device) == uuid;
}

// Empty where the driver has none or says that the question is wrong.
Devices DevicesOf(api::cl_platform_id platform, api::cl_device_type type) {
  api::cl_uint count = 0;
  if (Real().clGetDeviceIDs(platform, type, 0, nullptr, &count) != 0) return {};
  Devices devices(count);
  if (Real().clGetDeviceIDs(platform, type, count, devices.data(), nullptr) != 0) return {};
  return devices;
}

// The slice's card is the default where the platform's own default is another.
Devices OwnOf(Devices devices, api::cl_platform_id platform, api::cl_device_type type,
              const char* uuid) {
  const auto keep = [uuid](Devices& list) {
    std::erase_if(list, [uuid](api::cl_device_id device) { return !IsOwn(device, uuid); });
  };
  keep(devices);
  if (!devices.empty() || (type & api::CL_DEVICE_TYPE_DEFAULT) == 0) return devices;
  devices = DevicesOf(platform, static_cast<api::cl_device_type>(api::CL_DEVICE_TYPE_ALL));
  keep(devices);
  devices.resize(std::min<size_t>(devices.size(), 1));
  return devices;
}

void RefuseAndSkip(Call& call, int64_t code) {
  call.RefuseWith(code);
  call.Answer();
}

void List(Call& call, const char* uuid) {
  auto& c = call.As<api::ClGetDeviceIDsCall>();
  const bool wrong = c.devices ? c.num_entries == 0 : !c.num_devices;
  const Devices all = wrong ? Devices() : DevicesOf(c.platform, c.device_type);
  if (all.empty()) return;  // the driver has an answer to that
  const Devices own = OwnOf(all, c.platform, c.device_type, uuid);
  if (own == all) return;
  if (c.num_devices) *c.num_devices = static_cast<api::cl_uint>(own.size());
  if (own.empty()) return RefuseAndSkip(call, api::CL_DEVICE_NOT_FOUND);
  if (c.devices) std::copy_n(own.begin(), std::min<size_t>(own.size(), c.num_entries), c.devices);
  c.result = api::CL_SUCCESS;
  call.Answer();
}

void CheckContext(Call& call, const char* uuid) {
  const auto& c = call.As<api::ClCreateContextCall>();
  for (api::cl_uint i = 0; c.devices && i < c.num_devices; ++i) {
    if (IsOwn(c.devices[i], uuid)) continue;
    char name[128] = "unknown";
    Real().clGetDeviceInfo(c.devices[i], api::CL_DEVICE_NAME, sizeof(name) - 1, name, nullptr);
    Notice(
        "slice: clCreateContext refused: the device '%s' is not the slice's card; take one that "
        "clGetDeviceIDs lists, or a slice of that card (flexai run --card)",
        name);
    return RefuseAndSkip(call, api::CL_INVALID_DEVICE);
  }
}

void MakeContext(Call& call, const char* uuid) {
  auto& c = call.As<api::ClCreateContextFromTypeCall>();
  api::cl_platform_id platform = nullptr;
  for (const auto* at = c.properties; at && at[0] != 0; at += 2) {
    if (at[0] == api::CL_CONTEXT_PLATFORM) platform = reinterpret_cast<api::cl_platform_id>(at[1]);
  }
  const Devices all = DevicesOf(platform, c.device_type);
  if (all.empty()) return;
  const Devices own = OwnOf(all, platform, c.device_type, uuid);
  if (own == all) return;
  if (own.empty()) return RefuseAndSkip(call, api::CL_DEVICE_NOT_FOUND);
  api::cl_int code = 0;
  c.result = Real().clCreateContext(c.properties, static_cast<api::cl_uint>(own.size()), own.data(),
                                    c.pfn_notify, c.user_data, &code);
  if (code != 0) return RefuseAndSkip(call, code);
  if (c.errcode_ret) *c.errcode_ret = code;
  call.Answer();
}

}  // namespace

void ShowOwnDevices(Call& call, const char* uuid) {
  const api::Real& real = Real();
  if (!real.clGetDeviceIDs || !real.clGetDeviceInfo) return;
  switch (call.info().index) {
    case api::ClGetDeviceIDsCall::kIndex:
      return List(call, uuid);
    case api::ClCreateContextCall::kIndex:
      return CheckContext(call, uuid);
    case api::ClCreateContextFromTypeCall::kIndex:
      return MakeContext(call, uuid);
    default:
      return;
  }
}

}  // namespace flexai::backend::opencl
