// Several fake cards, through the fake driver and the fake management library as a program sees
// them.
#include "flexai/backend/nvidia/fake_cards.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cuda/real.h"
#include "flexai/backend/nvidia/import_slot.h"
#include "nvml/real.h"
#include "rm/types.h"

namespace flexai::backend::cuda::fake_driver {

using nvidia::fake_driver::CardsInList;
using nvidia::fake_driver::NameOfCard;
using nvidia::fake_driver::UuidOfCard;
namespace {

namespace cu = ::flexai::api::cuda;
namespace ml = ::flexai::api::nvml;
namespace rm = ::flexai::api::rm;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kTotal = 1024 * kMiB;
// The process's devices are these cards: the list ends where a card comes again.
constexpr char kList[] = "1,0,1,2";

// What the driver asks its kernel module for, seen on the way.
int (*g_module)(int, unsigned long, void*) = nullptr;
std::vector<rm::NVOS64_PARAMETERS> g_made;
int Watch(int fd, unsigned long request, void* argument) {
  const int result = g_module(fd, request, argument);
  if (_IOC_NR(request) == rm::NV_ESC_RM_ALLOC) {
    g_made.push_back(*static_cast<const rm::NVOS64_PARAMETERS*>(argument));
  }
  return result;
}

// A context, and what the kernel module made for it.
struct Context {
  cu::CUcontext handle = nullptr;
  std::vector<rm::NVOS64_PARAMETERS> made;
};

class FakeCards : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    books_ = testing::TempDir() + "fake_cards_test." + std::to_string(getpid());
    setenv("FLEXAI_FAKE_CARDS", "3", 1);
    setenv("FLEXAI_FAKE_SHARED", books_.c_str(), 1);
    setenv("FLEXAI_FAKE_MEMORY", std::to_string(kTotal).c_str(), 1);
    setenv("FLEXAI_FAKE_CONTEXT", "0", 1);
    setenv("FLEXAI_FAKE_MODULE", "0", 1);
    setenv("CUDA_VISIBLE_DEVICES", kList, 1);
    void* driver = dlopen(FLEXAI_FAKE_DRIVER, RTLD_NOW);
    void* management = dlopen(FLEXAI_FAKE_MANAGEMENT, RTLD_NOW);
    ASSERT_TRUE(driver && management) << dlerror();
    for (const auto& info : cu::kFunctions) {
      cu::AsTable(cu_)[info.index] = dlsym(driver, info.name);
    }
    for (const auto& info : ml::kFunctions) {
      ml::AsTable(ml_)[info.index] = dlsym(management, info.name);
    }
    g_module = reinterpret_cast<int (*)(int, unsigned long, void*)>(
        nvidia::ReplaceImport(driver, "ioctl", reinterpret_cast<void*>(&Watch)));
    ASSERT_NE(g_module, nullptr);
    ASSERT_EQ(cu_.cuInit(0), cu::CUDA_SUCCESS);
  }
  static void TearDownTestSuite() { unlink(books_.c_str()); }

  void SetUp() override {
    for (int device = 0; device < 2; ++device) {
      Context& context = contexts_[device];
      g_made.clear();
      ASSERT_EQ(cu_.cuCtxCreate_v2(&context.handle, 0, device), cu::CUDA_SUCCESS);
      context.made = g_made;
    }
  }
  void TearDown() override {
    for (const Context& context : contexts_) EXPECT_EQ(cu_.cuCtxDestroy_v2(context.handle), 0u);
  }

  void Use(int device) { ASSERT_EQ(cu_.cuCtxSetCurrent(contexts_[device].handle), 0u); }

  // Control calls, as the driver would make them.
  static uint32_t Control(const rm::NVOS64_PARAMETERS& object, uint32_t command, void* parameters,
                          uint32_t size) {
    rm::NVOS54_PARAMETERS call = {};
    call.hClient = object.hRoot;
    call.hObject = object.hObjectNew;
    call.cmd = command;
    call.params = reinterpret_cast<uintptr_t>(parameters);
    call.paramsSize = size;
    g_module(-1, _IOWR('F', rm::NV_ESC_RM_CONTROL, rm::NVOS54_PARAMETERS), &call);
    return call.status;
  }
  static rm::NVOS64_PARAMETERS Subdevice(const Context& context) {
    for (const auto& object : context.made) {
      if (object.hClass == rm::NV20_SUBDEVICE_0) return object;
    }
    ADD_FAILURE() << "the context has none";
    return {};
  }
  static void Stop(const Context& context, bool stop) {
    rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS list = {};
    list.bDisable = stop;
    for (const auto& object : context.made) {
      if (object.hClass != rm::HOPPER_CHANNEL_GPFIFO_A) continue;
      list.hClientList[list.numChannels] = object.hRoot;
      list.hChannelList[list.numChannels++] = object.hObjectNew;
    }
    EXPECT_GT(list.numChannels, 0u);
    EXPECT_EQ(
        Control(Subdevice(context), rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS, &list, sizeof(list)),
        rm::NV_OK);
  }

  void Launch(int device) {
    Use(device);
    cu::CUmodule module = nullptr;
    cu::CUfunction function = nullptr;
    ASSERT_EQ(cu_.cuModuleLoadData(&module, "work"), 0u);
    ASSERT_EQ(cu_.cuModuleGetFunction(&function, module, "work"), 0u);
    ASSERT_EQ(cu_.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr), 0u);
  }

  uint64_t FreeOf(int device) {
    Use(device);
    size_t free = 0, total = 0;
    EXPECT_EQ(cu_.cuMemGetInfo_v2(&free, &total), 0u);
    EXPECT_EQ(total, kTotal);
    return free;
  }
  static ml::nvmlDevice_t Handle(unsigned index) {
    ml::nvmlDevice_t handle = nullptr;
    EXPECT_EQ(ml_.nvmlDeviceGetHandleByIndex_v2(index, &handle), 0u);
    return handle;
  }
  // As the management library tells, of which every card is seen.
  static uint64_t UsedOf(unsigned index) {
    ml::nvmlMemory_t memory = {};
    EXPECT_EQ(ml_.nvmlDeviceGetMemoryInfo(Handle(index), &memory), 0u);
    return memory.used;
  }

  static std::string books_;
  static cu::Real cu_;
  static ml::Real ml_;
  Context contexts_[2];
};
std::string FakeCards::books_;
cu::Real FakeCards::cu_ = {};
ml::Real FakeCards::ml_ = {};

using Cards = std::vector<int>;

TEST_F(FakeCards, AListEndsAtItsFirstBadEntry) {
  EXPECT_EQ(CardsInList(nullptr), (Cards{0, 1, 2}));
  EXPECT_EQ(CardsInList("2,0"), (Cards{2, 0}));
  EXPECT_EQ(CardsInList("2,3,0"), (Cards{2})) << "no such card";
  EXPECT_EQ(CardsInList("2,,0"), (Cards{2}));
  EXPECT_EQ(CardsInList(" 2, +0"), (Cards{2, 0})) << "blanks and a sign come first";
  EXPECT_EQ(CardsInList("0,1,0,2"), (Cards{0, 1})) << "named already";
  EXPECT_EQ(CardsInList((UuidOfCard(1) + ",0").c_str()), (Cards{1, 0}));
  EXPECT_EQ(CardsInList(("0," + UuidOfCard(0)).c_str()), (Cards{0})) << "named by its index";
  for (const char* none : {"", "-1", "GPU-", "GPU-666c6578", "GPU-777", "1x", "+", " "}) {
    EXPECT_EQ(CardsInList(none), Cards()) << none;
  }
}

TEST_F(FakeCards, WhatACallNeedsIsNotNull) {
  constexpr auto kRefused = cu::CUDA_ERROR_INVALID_VALUE;
  cu::CUdeviceptr_v2 address = 0;
  cu::CUmemGenericAllocationHandle_v1 physical = 0;
  EXPECT_EQ(cu_.cuMemAlloc_v2(nullptr, kMiB), kRefused);
  EXPECT_EQ(cu_.cuMemCreate(&physical, 2 * kMiB, nullptr, 0), kRefused);
  EXPECT_EQ(cu_.cuMemPoolCreate(nullptr, nullptr), kRefused);
  EXPECT_EQ(cu_.cuArrayCreate_v2(nullptr, nullptr), kRefused);
  EXPECT_EQ(cu_.cuLaunchKernelEx(nullptr, nullptr, nullptr, nullptr), kRefused);
  EXPECT_EQ(cu_.cuDeviceGetCount(nullptr), kRefused);
  EXPECT_EQ(cu_.cuDeviceGetAttribute(nullptr, 75, 0), kRefused);
  EXPECT_EQ(cu_.cuStreamCreate(nullptr, 0), kRefused);
  EXPECT_EQ(cu_.cuGetProcAddress("cuInit", nullptr, 13000, 0), kRefused);
  EXPECT_EQ(cu_.cuGetProcAddress_v2("cuInit", nullptr, 13000, 0, nullptr), kRefused);
  // What need not be taken.
  size_t free = 0;
  EXPECT_EQ(cu_.cuMemGetInfo_v2(&free, nullptr), 0u);
  EXPECT_EQ(cu_.cuCtxGetStreamPriorityRange(nullptr, nullptr), 0u);
  ASSERT_EQ(cu_.cuMemAlloc_v2(&address, kMiB), 0u);
  EXPECT_EQ(cu_.cuMemFree_v2(address), 0u);
}

TEST_F(FakeCards, ALookUpTellsWhyNot) {
  const auto ask = [&](const char* name, int version) {
    void* found = &found;
    cu::CUdriverProcAddressQueryResult status = 7;
    EXPECT_EQ(cu_.cuGetProcAddress_v2(name, &found, version, 0, &status), 0u);
    EXPECT_EQ(found != nullptr, status == 0);
    return static_cast<int>(status);
  };
  EXPECT_EQ(ask("cuLaunchKernelEx", 13000), 0);
  EXPECT_EQ(ask("cuLaunchKernelEx", 2000), 2);
  EXPECT_EQ(ask("cuNoSuchThing", 13000), 1);
}

TEST_F(FakeCards, DevicesAreTheListsCards) {
  int count = 0, device = -1, bus = 0;
  EXPECT_EQ(cu_.cuDeviceGetCount(&count), 0u);
  EXPECT_EQ(count, 2);
  for (const int ordinal : {0, 1}) {
    const int card = 1 - ordinal;
    ASSERT_EQ(cu_.cuDeviceGet(&device, ordinal), 0u);
    EXPECT_EQ(device, ordinal);
    cu::CUuuid uuid = {};
    char pci[16] = {};
    EXPECT_EQ(cu_.cuDeviceGetUuid_v2(&uuid, device), 0u);
    EXPECT_EQ(memcmp(&uuid, NameOfCard(card).uuid, sizeof(uuid)), 0);
    EXPECT_EQ(cu_.cuDeviceGetPCIBusId(pci, sizeof(pci), device), 0u);
    EXPECT_STREQ(pci, card == 0 ? "0000:01:00.0" : "0000:02:00.0");
    EXPECT_EQ(cu_.cuDeviceGetAttribute(&bus, 33, device), 0u);
    EXPECT_EQ(bus, 1 + card);
  }
  size_t bytes = 0;
  cu::CUcontext context = nullptr;
  for (const int none : {2, -1}) {
    EXPECT_EQ(cu_.cuDeviceGet(&device, none), cu::CUDA_ERROR_INVALID_DEVICE);
    EXPECT_EQ(cu_.cuDeviceTotalMem_v2(&bytes, none), cu::CUDA_ERROR_INVALID_DEVICE);
    EXPECT_EQ(cu_.cuCtxCreate_v2(&context, 0, none), cu::CUDA_ERROR_INVALID_DEVICE);
    EXPECT_EQ(cu_.cuDevicePrimaryCtxRetain(&context, none), cu::CUDA_ERROR_INVALID_DEVICE);
  }
}

TEST_F(FakeCards, ContextsKnowTheirDevice) {
  cu::CUcontext primary[2] = {};
  for (const int each : {0, 1}) {
    int device = -1;
    Use(each);
    EXPECT_EQ(cu_.cuCtxGetDevice(&device), 0u);
    EXPECT_EQ(device, each);
    EXPECT_EQ(cu_.cuDevicePrimaryCtxRetain(&primary[each], each), 0u);
    EXPECT_EQ(cu_.cuCtxGetDevice_v2(&device, primary[each]), 0u);
    EXPECT_EQ(device, each);
  }
  EXPECT_NE(primary[0], primary[1]);
  unsigned flags = 0;
  int active = -1;
  EXPECT_EQ(cu_.cuDevicePrimaryCtxRelease_v2(0), 0u);
  EXPECT_EQ(cu_.cuDevicePrimaryCtxGetState(0, &flags, &active), 0u);
  EXPECT_EQ(active, 0);
  EXPECT_EQ(cu_.cuDevicePrimaryCtxGetState(1, &flags, &active), 0u);
  EXPECT_EQ(active, 1);
  EXPECT_EQ(cu_.cuDevicePrimaryCtxRelease_v2(1), 0u);
}

TEST_F(FakeCards, MemoryIsCountedApart) {
  cu::CUdeviceptr_v2 large = 0, small = 0, other = 0, refused = 0;
  Use(0);
  ASSERT_EQ(cu_.cuMemAlloc_v2(&large, 600 * kMiB), 0u);
  ASSERT_EQ(cu_.cuMemAlloc_v2(&small, 4096), 0u);
  EXPECT_EQ(cu_.cuMemAlloc_v2(&refused, 600 * kMiB), cu::CUDA_ERROR_OUT_OF_MEMORY);
  Use(1);
  ASSERT_EQ(cu_.cuMemAlloc_v2(&other, 4096), 0u) << "the other card has a block of its own";
  EXPECT_EQ(FreeOf(0), kTotal - 602 * kMiB);
  EXPECT_EQ(FreeOf(1), kTotal - 2 * kMiB);
  EXPECT_EQ(UsedOf(0), 2 * kMiB);
  EXPECT_EQ(UsedOf(1), 602 * kMiB);
  EXPECT_EQ(UsedOf(2), 0u);
  EXPECT_EQ(cu_.cuMemFree_v2(large), 0u) << "from the other card's context";
  EXPECT_EQ(FreeOf(0), kTotal - 2 * kMiB);
  EXPECT_EQ(cu_.cuMemFree_v2(small), 0u);
  EXPECT_EQ(cu_.cuMemFree_v2(other), 0u);
  EXPECT_EQ(FreeOf(0), kTotal);
  EXPECT_EQ(FreeOf(1), kTotal);
}

TEST_F(FakeCards, MemoryIsWhereItsPropertiesSay) {
  struct {
    uint32_t type = 1, handles = 0, location_type = 1;
    int32_t location = 1;
    uint64_t rest[9] = {};
  } properties;
  const auto* on_device = reinterpret_cast<const cu::CUmemAllocationProp_v1*>(&properties);
  Use(0);
  cu::CUmemGenericAllocationHandle_v1 physical = 0;
  ASSERT_EQ(cu_.cuMemCreate(&physical, 4 * kMiB, on_device, 0), 0u);
  EXPECT_EQ(FreeOf(1), kTotal - 4 * kMiB);
  EXPECT_EQ(cu_.cuMemRelease(physical), 0u);
  EXPECT_EQ(FreeOf(1), kTotal);

  cu::CUmemoryPool pool = nullptr, of_device[2] = {};
  cu::CUdeviceptr_v2 at = 0, in_order = 0;
  Use(0);
  ASSERT_EQ(cu_.cuMemPoolCreate(&pool, reinterpret_cast<const cu::CUmemPoolProps_v1*>(&properties)),
            0u);
  ASSERT_EQ(cu_.cuMemAllocFromPoolAsync(&at, kMiB, pool, nullptr), 0u);
  EXPECT_EQ(FreeOf(1), kTotal - 32 * kMiB);
  EXPECT_EQ(FreeOf(0), kTotal);
  Use(0);
  ASSERT_EQ(cu_.cuMemAllocAsync(&in_order, kMiB, nullptr), 0u) << "the stream's card";
  EXPECT_EQ(FreeOf(0), kTotal - 32 * kMiB);
  for (const int device : {0, 1}) {
    EXPECT_EQ(cu_.cuDeviceGetDefaultMemPool(&of_device[device], device), 0u);
  }
  EXPECT_NE(of_device[0], of_device[1]);
  for (const auto each : {at, in_order}) EXPECT_EQ(cu_.cuMemFreeAsync(each, nullptr), 0u);
  EXPECT_EQ(cu_.cuMemPoolDestroy(pool), 0u);
  EXPECT_EQ(cu_.cuMemPoolTrimTo(of_device[0], 0), 0u);
  EXPECT_EQ(FreeOf(0), kTotal);
  EXPECT_EQ(FreeOf(1), kTotal);

  properties.location = 2;
  EXPECT_EQ(cu_.cuMemCreate(&physical, 4 * kMiB, on_device, 0), cu::CUDA_ERROR_INVALID_DEVICE);
}

TEST_F(FakeCards, GraphsTakeMemoryOfTheDeviceTheirNodesName) {
  Use(0);
  cu::CUgraph graph = nullptr;
  cu::CUgraphNode node = nullptr;
  cu::CUgraphExec exec = nullptr;
  cu::CUDA_MEM_ALLOC_NODE_PARAMS_v1 wanted = {};
  wanted.bytesize = kMiB;
  ASSERT_EQ(cu_.cuGraphCreate(&graph, 0), 0u);
  EXPECT_EQ(cu_.cuGraphAddMemAllocNode(&node, graph, nullptr, 0, &wanted),
            cu::CUDA_ERROR_INVALID_VALUE)
      << "no place";
  const uint32_t on_the_second[] = {1, 0, 1, 1};
  memcpy(&wanted.poolProps, on_the_second, sizeof(on_the_second));
  ASSERT_EQ(cu_.cuGraphAddMemAllocNode(&node, graph, nullptr, 0, &wanted), 0u);
  ASSERT_EQ(cu_.cuGraphInstantiateWithFlags(&exec, graph, 0), 0u);
  ASSERT_EQ(cu_.cuGraphLaunch(exec, nullptr), 0u);
  uint64_t reserved[2] = {};
  for (const int device : {0, 1}) {
    EXPECT_EQ(cu_.cuDeviceGetGraphMemAttribute(device, 2, &reserved[device]), 0u);
  }
  EXPECT_EQ(reserved[0], 0u);
  EXPECT_EQ(reserved[1], 32 * kMiB);
  EXPECT_EQ(cu_.cuGraphExecDestroy(exec), 0u);
  EXPECT_EQ(cu_.cuGraphDestroy(graph), 0u);
  EXPECT_EQ(cu_.cuDeviceGraphMemTrim(0), 0u);
  EXPECT_EQ(FreeOf(1), kTotal - 32 * kMiB);
  EXPECT_EQ(cu_.cuDeviceGraphMemTrim(1), 0u);
  EXPECT_EQ(FreeOf(1), kTotal);
}

TEST_F(FakeCards, AStopOfOneCardLeavesTheOthersRunning) {
  Stop(contexts_[0], true);
  Launch(0);
  Launch(1);
  EXPECT_EQ(cu_.cuCtxSynchronize(), 0u) << "the second card's work comes to its end";
  Use(0);
  EXPECT_EQ(cu_.cuStreamQuery(nullptr), cu::CUDA_ERROR_NOT_READY);
  Stop(contexts_[0], false);
  EXPECT_EQ(cu_.cuCtxSynchronize(), 0u);
}

TEST_F(FakeCards, TheKernelModuleTellsWhichCardASubdeviceIs) {
  for (const int device : {0, 1}) {
    const rm::NVOS64_PARAMETERS subdevice = Subdevice(contexts_[device]);
    rm::NV2080_CTRL_GPU_GET_GID_INFO_PARAMS name = {};
    constexpr uint32_t kAsk = rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO;
    ASSERT_EQ(Control(subdevice, kAsk, &name, sizeof(name)), rm::NV_OK);
    const std::string uuid = UuidOfCard(1 - device);
    EXPECT_EQ(name.length, uuid.size() + 1);
    EXPECT_STREQ(reinterpret_cast<const char*>(name.data), uuid.c_str());
    EXPECT_NE(Control(contexts_[device].made.back(), kAsk, &name, sizeof(name)), rm::NV_OK)
        << "a channel is no subdevice";
  }
  rm::NV0080_ALLOC_PARAMETERS none = {};
  none.deviceId = 3;
  rm::NVOS64_PARAMETERS call = contexts_[0].made.front();
  call.hRoot = call.hObjectParent = call.hObjectNew;  // the client
  call.hObjectNew = 0;
  call.hClass = rm::NV01_DEVICE_0;
  call.pAllocParms = reinterpret_cast<uintptr_t>(&none);
  g_module(-1, _IOWR('F', rm::NV_ESC_RM_ALLOC, rm::NVOS64_PARAMETERS), &call);
  EXPECT_NE(call.status, rm::NV_OK) << "there are three cards";
}

TEST_F(FakeCards, TheManagementLibraryTellsOfEachCard) {
  unsigned count = 0;
  EXPECT_EQ(ml_.nvmlDeviceGetCount_v2(&count), 0u);
  EXPECT_EQ(count, 3u);
  Use(1);
  cu::CUdeviceptr_v2 held = 0;
  ASSERT_EQ(cu_.cuMemAlloc_v2(&held, 8 * kMiB), 0u);
  for (unsigned card = 0; card < count; ++card) {
    const ml::nvmlDevice_t handle = Handle(card);
    ml::nvmlDevice_t found = nullptr;
    char uuid[96] = {};
    EXPECT_EQ(ml_.nvmlDeviceGetUUID(handle, uuid, sizeof(uuid)), 0u);
    EXPECT_EQ(uuid, UuidOfCard(static_cast<int>(card)));
    EXPECT_EQ(ml_.nvmlDeviceGetHandleByUUID(uuid, &found), 0u);
    EXPECT_EQ(found, handle);
    unsigned index = 99;
    EXPECT_EQ(ml_.nvmlDeviceGetIndex(handle, &index), 0u);
    EXPECT_EQ(index, card);
    ml::nvmlPciInfo_t pci = {};
    EXPECT_EQ(ml_.nvmlDeviceGetPciInfo_v3(handle, &pci), 0u);
    EXPECT_EQ(pci.bus, 1 + card);
    EXPECT_EQ(ml_.nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &found), 0u);
    EXPECT_EQ(found, handle);
    ml::nvmlProcessInfo_t processes[4] = {};
    unsigned users = 4;
    EXPECT_EQ(ml_.nvmlDeviceGetComputeRunningProcesses_v3(handle, &users, processes), 0u);
    EXPECT_EQ(users, card == 0 ? 1u : 0u) << "the process's second device is the first card";
    EXPECT_EQ(processes[0].usedGpuMemory, card == 0 ? 8 * kMiB : 0);
  }
  ml::nvmlDevice_t none = nullptr;
  EXPECT_EQ(ml_.nvmlDeviceGetHandleByIndex_v2(3, &none), ml::NVML_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(ml_.nvmlDeviceGetHandleByUUID("GPU-666c", &none), ml::NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(ml_.nvmlDeviceGetHandleByPciBusId_v2("0000:07:00.0", &none), ml::NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(cu_.cuMemFree_v2(held), 0u);
}

}  // namespace
}  // namespace flexai::backend::cuda::fake_driver
