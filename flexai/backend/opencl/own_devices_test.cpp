// What a program in a slice finds on a made-up platform of two NVIDIA cards, another vendor's and a
// CPU. Each case runs in a child, because a process has one slice.
#include "flexai/backend/opencl/own_devices.h"

#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "flexai/backend/opencl/card_uuid.h"
#include "flexai/backend/opencl/doors.h"
#include "flexai/slice/pretend_daemon_test.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {
namespace {

struct MadeUp {
  int64_t type;
  api::cl_uint vendor;
  const char* extensions;
  uint8_t last_of_uuid;
};
const MadeUp kMadeUp[] = {
    {api::CL_DEVICE_TYPE_GPU, 0x10DE, "cl_khr_icd cl_khr_device_uuid", 1},
    {api::CL_DEVICE_TYPE_GPU, 0x10DE, "cl_khr_device_uuid cl_khr_icd", 2},
    {api::CL_DEVICE_TYPE_GPU, 0x8086, "cl_khr_device_uuid_too", 3},
    {api::CL_DEVICE_TYPE_CPU, 0x8086, "cl_khr_device_uuid", 4},
};
constexpr int kFirst = 0, kSecond = 1, kWithoutUuid = 2, kCpu = 3;
constexpr char kFirstUuid[] = "GPU-00000000-0000-0000-0000-000000000001";
constexpr char kSecondUuid[] = "GPU-00000000-0000-0000-0000-000000000002";

api::cl_device_id Device(int index) {
  return reinterpret_cast<api::cl_device_id>(const_cast<MadeUp*>(&kMadeUp[index]));
}

// The made-up driver.
api::cl_int GetIds(api::cl_platform_id, api::cl_device_type type, api::cl_uint entries,
                   api::cl_device_id* devices, api::cl_uint* count) {
  std::vector<api::cl_device_id> found;
  for (int i = 0; i < 4; ++i) {
    const bool is_default = i == kFirst && (type & api::CL_DEVICE_TYPE_DEFAULT);
    if ((type & static_cast<api::cl_device_type>(kMadeUp[i].type)) || is_default) {
      found.push_back(Device(i));
    }
  }
  if (found.empty()) return api::CL_DEVICE_NOT_FOUND;
  if (count) *count = static_cast<api::cl_uint>(found.size());
  for (api::cl_uint i = 0; devices && i < entries && i < found.size(); ++i) devices[i] = found[i];
  return 0;
}
api::cl_int GetInfo(api::cl_device_id handle, api::cl_device_info what, size_t size, void* value,
                    size_t* needs) {
  const auto& device = *reinterpret_cast<const MadeUp*>(handle);
  std::string answer;
  const auto put = [&answer](const auto& word) {
    answer.assign(reinterpret_cast<const char*>(&word), sizeof(word));
  };
  const uint8_t uuid[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, device.last_of_uuid};
  if (what == api::CL_DEVICE_TYPE) put(static_cast<api::cl_ulong>(device.type));
  if (what == api::CL_DEVICE_VENDOR_ID) put(device.vendor);
  if (what == api::CL_DEVICE_UUID_KHR) put(uuid);
  if (what == api::CL_DEVICE_EXTENSIONS)
    answer.assign(device.extensions, strlen(device.extensions) + 1);
  if (what == api::CL_DEVICE_NAME) answer.assign("made up", 8);
  if (answer.empty()) return api::CL_INVALID_VALUE;
  if (needs) *needs = answer.size();
  if (value) memcpy(value, answer.data(), std::min(size, answer.size()));
  return 0;
}
std::vector<api::cl_device_id> g_context;
api::cl_context Create(const api::cl_context_properties*, api::cl_uint count,
                       const api::cl_device_id* devices, api::cl_context_notify, void*,
                       api::cl_int* code) {
  g_context.assign(devices, devices + count);
  if (code) *code = 0;
  return reinterpret_cast<api::cl_context>(&g_context);
}
api::cl_context CreateFromType(const api::cl_context_properties*, api::cl_device_type type,
                               api::cl_context_notify, void*, api::cl_int* code) {
  api::cl_device_id devices[4];
  api::cl_uint count = 0;
  if (GetIds(nullptr, type, 4, devices, &count) != 0) return nullptr;
  return Create(nullptr, count, devices, nullptr, nullptr, code);
}
api::cl_int Release(api::cl_context) { return 0; }

template <class C>
typename C::Signature* Fn() {
  return reinterpret_cast<typename C::Signature*>(EntriesAt(0)[C::kIndex]);
}

class Program {
 public:
  explicit Program(const std::string& uuid) : daemon_(uint64_t{1} << 30) {
    uuid.copy(daemon_.region().header.card_uuid, sizeof(daemon_.region().header.card_uuid) - 1);
    api::Real real;
    real.clGetDeviceIDs = &GetIds;
    real.clGetDeviceInfo = &GetInfo;
    real.clCreateContext = &Create;
    real.clCreateContextFromType = &CreateFromType;
    real.clReleaseContext = &Release;
    bool fresh = false;
    OpenDoor(TakeDoor(intercept::DoorLevel::kOuter, &fresh), intercept::DoorLevel::kOuter, real);
  }
  /// What it finds.
  static std::vector<api::cl_device_id> Find(int64_t type, api::cl_uint room = 4) {
    api::cl_device_id devices[4] = {};
    api::cl_uint count = 77, counted = 78;
    const auto asked = static_cast<api::cl_device_type>(type);
    const api::cl_int code = Fn<api::ClGetDeviceIDsCall>()(nullptr, asked, room, devices, &count);
    EXPECT_EQ(Fn<api::ClGetDeviceIDsCall>()(nullptr, asked, 0, nullptr, &counted), code);
    if (code == api::CL_DEVICE_NOT_FOUND) return {};
    EXPECT_EQ(code, 0);
    EXPECT_EQ(count, counted);
    return {devices, devices + std::min(count, room)};
  }
  static api::cl_int MakeContext(std::vector<api::cl_device_id> devices) {
    api::cl_int code = 1;
    g_context.clear();
    const auto made =
        Fn<api::ClCreateContextCall>()(nullptr, static_cast<api::cl_uint>(devices.size()),
                                       devices.data(), nullptr, nullptr, &code);
    EXPECT_EQ(made != nullptr, code == 0);
    return code;
  }
  static api::cl_int MakeContextOf(int64_t type) {
    api::cl_int code = 1;
    g_context.clear();
    const auto made = Fn<api::ClCreateContextFromTypeCall>()(
        nullptr, static_cast<api::cl_device_type>(type), nullptr, nullptr, &code);
    EXPECT_EQ(made != nullptr, code == 0);
    return code;
  }

 private:
  slice::PretendDaemon daemon_;
};

using Devices = std::vector<api::cl_device_id>;

// Runs `body` in a child and fails with what it said.
#define IN_CHILD(body)                              \
  EXPECT_EXIT(                                      \
      {                                             \
        [] body();                                  \
        fflush(stdout);                             \
        _exit(testing::Test::HasFailure() ? 1 : 0); \
      },                                            \
      testing::ExitedWithCode(0), "")

TEST(OwnDevices, UuidsAreTheDriversWhereItTellsThem) {
  EXPECT_EQ(CardUuid(&GetInfo, Device(kFirst)), kFirstUuid);
  EXPECT_EQ(CardUuid(&GetInfo, Device(kSecond)), kSecondUuid);
  const std::string made = CardUuid(&GetInfo, Device(kWithoutUuid));
  EXPECT_EQ(made.rfind("opencl-", 0), 0u) << made;
  EXPECT_TRUE(IsCpu(CardUuid(&GetInfo, Device(kCpu)).c_str()));
  EXPECT_FALSE(IsCpu(made.c_str()));
}

TEST(OwnDevices, ListsHoldTheSlicesCardAlone) {
  IN_CHILD({
    const Program program(kSecondUuid);
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_ALL), Devices{Device(kSecond)});
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_GPU), Devices{Device(kSecond)});
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_GPU, /*room=*/1), Devices{Device(kSecond)});
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_DEFAULT), Devices{Device(kSecond)});
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_CPU), Devices());
    api::cl_uint count = 0;
    EXPECT_EQ(
        Fn<api::ClGetDeviceIDsCall>()(nullptr, api::CL_DEVICE_TYPE_ACCELERATOR, 0, nullptr, &count),
        api::CL_DEVICE_NOT_FOUND);
  });
}

TEST(OwnDevices, ASliceOfTheProcessorShowsNoOther) {
  IN_CHILD({
    const Program program(CardUuid(&GetInfo, Device(kCpu)));
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_ALL), Devices{Device(kCpu)});
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_GPU), Devices());
  });
}

TEST(OwnDevices, AProcessorThatCallsItselfAGpuIsFound) {
  IN_CHILD({
    setenv("FLEXAI_OPENCL_DEVICE_TYPE", "gpu", 1);
    const Program program(CardUuid(&GetInfo, Device(kCpu)));
    EXPECT_EQ(Program::Find(api::CL_DEVICE_TYPE_GPU), Devices{Device(kCpu)});
    EXPECT_EQ(Program::MakeContextOf(api::CL_DEVICE_TYPE_GPU), 0);
    EXPECT_EQ(g_context, Devices{Device(kCpu)});
  });
}

TEST(OwnDevices, NoContextIsMadeOnAnother) {
  IN_CHILD({
    const Program program(kFirstUuid);
    EXPECT_EQ(Program::MakeContext({Device(kFirst)}), 0);
    EXPECT_EQ(g_context, Devices{Device(kFirst)});
    for (const int other : {kSecond, kWithoutUuid, kCpu}) {
      EXPECT_EQ(Program::MakeContext({Device(kFirst), Device(other)}), api::CL_INVALID_DEVICE);
      EXPECT_TRUE(g_context.empty());
    }
    EXPECT_EQ(Program::MakeContextOf(api::CL_DEVICE_TYPE_ALL), 0);
    EXPECT_EQ(g_context, Devices{Device(kFirst)});
    EXPECT_EQ(Program::MakeContextOf(api::CL_DEVICE_TYPE_CPU), api::CL_DEVICE_NOT_FOUND);
    EXPECT_TRUE(g_context.empty());
  });
}

}  // namespace
}  // namespace flexai::backend::opencl
