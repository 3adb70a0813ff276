// The fake driver's card, contexts, errors and look-ups.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "flexai/backend/cuda/fake_bodies.h"
#include "flexai/backend/cuda/fake_tables.h"
#include "flexai/backend/cuda/import_slot.h"
#include "flexai/backend/cuda/look_up_row.h"
#include "flexai/base/log.h"

namespace flexai::api::cuda {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::backend::cuda::fake_driver {
namespace {

constexpr char kUuid[17] = "flexai-fake-card";
constexpr char kName[] = "GPU-666c6578-6169-2d66-616b-652d63617264";  // the same, in hex
constexpr int kDomain = 0, kBus = 1, kSlot = 0;                       // on PCI

struct State {
  std::mutex mu;  // guards what follows
  std::map<const void*, std::shared_ptr<Object>> objects;
};
State& TheState() {
  static State* const state = new State;
  return *state;
}
thread_local std::vector<Context*> t_contexts;

// One for the process's life; it holds something while it has users.
struct Primary {
  std::mutex mu;  // guards what follows
  std::shared_ptr<Context> context = std::make_shared<Context>();
  int users = 0;
  Primary() { Register(context); }
};
Primary& ThePrimary() {
  static Primary* const primary = new Primary;
  return *primary;
}

uint64_t ContextBytes() {
  const char* bytes = getenv("FLEXAI_FAKE_CONTEXT");
  return bytes ? strtoull(bytes, nullptr, 10) : uint64_t{32} << 20;
}

// As many as a plain process was seen to have on an H100.
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
  void* library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  ReplaceImport(library, "ioctl", reinterpret_cast<void*>(&AskModule));
  if (library) dlclose(library);
  const char* levers = getenv("FLEXAI_FAKE_LEVERS");
  if (levers && !TheModule().Pretend(levers)) Notice("FLEXAI_FAKE_LEVERS=%s is not known", levers);
  TheModule().OnChange([](bool stands) {
    fake::Card::Instance().Stop(stands);
    SharedCard::Instance().Stands(stands);
  });
}

std::unique_ptr<PretendChannels> MakeChannels() {
  const auto call = [](int fd, unsigned long request, void* argument) {
    return ioctl(fd, request, argument);
  };
  return std::make_unique<PretendChannels>(+call, -1, kComputeChannels, kCopyChannels);
}

}  // namespace

cu::CUcontext HandleOf(Context* context) {
  return reinterpret_cast<cu::CUcontext>(static_cast<Object*>(context));
}
Context* ContextOf(cu::CUcontext handle) { return Find<Context>(handle).get(); }

void Register(std::shared_ptr<Object> object) {
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  const void* handle = object.get();
  state.objects[handle] = std::move(object);
}

std::shared_ptr<Object> FindAny(const void* handle) {
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  const auto found = state.objects.find(handle);
  return found == state.objects.end() ? nullptr : found->second;
}

bool Remove(const void* handle) {
  State& state = TheState();
  std::shared_ptr<Object> last;  // destroyed without the lock
  std::lock_guard<std::mutex> lock(state.mu);
  const auto found = state.objects.find(handle);
  if (found == state.objects.end()) return false;
  last = std::move(found->second);
  state.objects.erase(found);
  return true;
}

Context* Current() { return t_contexts.empty() ? nullptr : t_contexts.back(); }

cu::CUcontext PrimaryHandle() { return HandleOf(ThePrimary().context.get()); }

CardName NameOfCard() {
  CardName name = {{}, kDomain, kBus, kSlot};
  memcpy(name.uuid, kUuid, sizeof(name.uuid));
  return name;
}

namespace {

// False where the card is full.
bool Fill(Context* context) {
  const uint64_t bytes = ContextBytes();
  if (!SharedCard::Instance().Take(bytes)) return false;
  context->bytes = bytes;
  context->channels = MakeChannels();
  return true;
}

template <class C>
void CreateContext(C& call) {
  const auto context = std::make_shared<Context>();
  if (!Fill(context.get())) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  Register(context);
  *call.pctx = HandleOf(context.get());
  t_contexts.push_back(context.get());
  End(call);
}

template <class C>
void DestroyContext(C& call) {
  Context* context = ContextOf(call.ctx);
  std::erase(t_contexts, context);
  if (context) {
    FreeMemoryOf(*context);
    FreeModulesOf(*context);
  }
  ForgetLocals(call.ctx);
  End(call, context && Remove(call.ctx) ? kOk : cu::CUDA_ERROR_INVALID_CONTEXT);
}

template <class C>
void ReleasePrimary(C& call) {
  Primary& primary = ThePrimary();
  std::lock_guard<std::mutex> lock(primary.mu);
  if (primary.users > 0 && --primary.users == 0) {
    primary.context->channels.reset();
    FreeMemoryOf(*primary.context);
    FreeModulesOf(*primary.context);
    SharedCard::Instance().Give(std::exchange(primary.context->bytes, 0));
    ForgetLocals(PrimaryHandle());
  }
  End(call);
}

template <class C>
void Pop(C& call) {
  if (call.pctx) *call.pctx = HandleOf(Current());
  if (!t_contexts.empty()) t_contexts.pop_back();
  End(call);
}

template <class C>
void Push(C& call) {
  Context* context = ContextOf(call.ctx);
  if (context) t_contexts.push_back(context);
  End(call, context ? kOk : cu::CUDA_ERROR_INVALID_CONTEXT);
}

struct AttributeValue {
  int attribute;
  int value;
};
// What programs look at when they start. Source: CUDA Driver API, CUdevice_attribute.
constexpr AttributeValue kAttributes[] = {
    {1, 1024},     {2, 1024},   {3, 1024},     {4, 64},       {5, 0x7fffffff},  {6, 65535},
    {7, 65535},    {8, 49152},  {9, 65536},    {10, 32},      {11, 0x7fffffff}, {12, 65536},
    {13, 1980000}, {14, 512},   {15, 1},       {19, 1},       {31, 1},          {32, 1},
    {33, kBus},    {34, kSlot}, {50, kDomain}, {36, 2619000}, {37, 5120},       {38, 52428800},
    {39, 2048},    {40, 1},     {41, 1},       {78, 1},       {81, 233472},     {82, 65536},
    {83, 1},       {88, 1},     {89, 1},       {91, 1},       {95, 1},          {97, 232448},
    {102, 1},      {103, 1},    {106, 32},     {115, 1},
};

// Ten times major plus minor. Libraries that look into their code take other ways on newer cards.
int Capability() {
  const char* asked = getenv("FLEXAI_FAKE_CAPABILITY");
  return asked ? atoi(asked) : 90;
}

int Attribute(int asked) {
  if (asked == 75) return Capability() / 10;
  if (asked == 76) return Capability() % 10;
  if (asked == 16) return static_cast<int>(fake::Card::Instance().config().compute_units);
  for (const AttributeValue& known : kAttributes) {
    if (known.attribute == asked) return known.value;
  }
  return 0;
}

// CUlaunchConfig and CUlaunchAttribute, as far as they matter here.
struct LaunchAttribute {
  uint32_t id, padding;
  uint32_t value[16];
};
struct LaunchConfig {
  uint32_t sizes[8];
  const void* stream;
  const LaunchAttribute* attributes;
  uint32_t count;
};
constexpr uint32_t kClusterDimension = 4;
constexpr int kUnitsOfGroup = 18;  // as on an H100

int BlocksOfCluster(const void* given) {
  const auto* config = static_cast<const LaunchConfig*>(given);
  uint32_t blocks = 1;
  for (uint32_t i = 0; i < config->count; ++i) {
    const LaunchAttribute& one = config->attributes[i];
    if (one.id == kClusterDimension) blocks = one.value[0] * one.value[1] * one.value[2];
  }
  return static_cast<int>(std::max(blocks, 1u));
}

template <class C>
void TellMemory(C& call) {
  using Word = std::remove_pointer_t<decltype(call.total)>;
  const SharedCard& card = SharedCard::Instance();
  if (!Current()) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  if (call.free) *call.free = static_cast<Word>(card.total() - card.used());
  if (call.total) *call.total = static_cast<Word>(card.total());
  End(call);
}

// Whether CUDA_VISIBLE_DEVICES, as it was at the first look, lets programs see the card: the list
// ends at the first entry that is none.
bool CardIsVisible() {
  static const bool visible = [] {
    const char* list = getenv("CUDA_VISIBLE_DEVICES");
    const std::string first = list ? std::string(list, strcspn(list, ",")) : "0";
    return first == "0" || (first.size() > 4 && strncmp(kName, first.c_str(), first.size()) == 0);
  }();
  return visible;
}

// What a tool asks the driver to load while it begins, once.
void LoadInjected() {
  static std::atomic<bool> asked{false};
  const char* path = getenv("CUDA_INJECTION64_PATH");
  if (asked.exchange(true) || !path || !*path) return;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void* entry = library ? dlsym(library, "InitializeInjection") : nullptr;
  if (entry) reinterpret_cast<int (*)()>(entry)();
}

template <class C>
void LookUp(C& call) {
  // No function here is known by its address: the version and the kind of stream decide.
  static const std::vector<void*> nowhere(cu::kFunctionCount);
  const int row = RowOfLookUp(call.symbol, call.cudaVersion, call.flags, &nowhere, nowhere.data());
  *call.pfn = row >= 0 ? cu::kFakeFunctions[row] : nullptr;
  End(call, *call.pfn ? kOk : cu::CUDA_ERROR_NOT_FOUND);
}

}  // namespace
}  // namespace flexai::backend::cuda::fake_driver

namespace flexai::fake {

const intercept::LibraryInfo& Library() { return cu::kLibrary; }

FAKE_AS(CuCtxCreate, CreateContext)
FAKE_AS(CuCtxCreate_v2, CreateContext)
FAKE_AS(CuCtxCreate_v3, CreateContext)
FAKE_AS(CuCtxCreate_v4, CreateContext)
FAKE_AS(CuCtxDestroy, DestroyContext)
FAKE_AS(CuCtxDestroy_v2, DestroyContext)
FAKE_AS(CuDevicePrimaryCtxRelease, ReleasePrimary)
FAKE_AS(CuDevicePrimaryCtxRelease_v2, ReleasePrimary)
FAKE_AS(CuDevicePrimaryCtxReset, ReleasePrimary)
FAKE_AS(CuDevicePrimaryCtxReset_v2, ReleasePrimary)
FAKE_AS(CuCtxPopCurrent, Pop)
FAKE_AS(CuCtxPopCurrent_v2, Pop)
FAKE_AS(CuCtxPushCurrent, Push)
FAKE_AS(CuCtxPushCurrent_v2, Push)
FAKE_AS(CuMemGetInfo, TellMemory)
FAKE_AS(CuMemGetInfo_v2, TellMemory)
FAKE_AS(CuGetProcAddress, LookUp)
FAKE(CuGetProcAddress_v2) {
  LookUp(call);
  if (call.symbolStatus) *call.symbolStatus = *call.pfn ? 0 : 1;
  End(call);
}

FAKE(CuDevicePrimaryCtxRetain) {
  Primary& primary = ThePrimary();
  std::lock_guard<std::mutex> lock(primary.mu);
  if (primary.users == 0 && !Fill(primary.context.get())) {
    return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  ++primary.users;
  *call.pctx = HandleOf(primary.context.get());
  End(call);
}

FAKE(CuDevicePrimaryCtxGetState) {
  Primary& primary = ThePrimary();
  std::lock_guard<std::mutex> lock(primary.mu);
  if (call.flags) *call.flags = 0;
  if (call.active) *call.active = primary.users > 0;
  End(call);
}

FAKE(CuCtxSetCurrent) {
  if (!t_contexts.empty()) t_contexts.pop_back();
  Context* context = call.ctx ? ContextOf(call.ctx) : nullptr;
  if (context) t_contexts.push_back(context);
  End(call, context || !call.ctx ? kOk : cu::CUDA_ERROR_INVALID_CONTEXT);
}

FAKE(CuCtxGetCurrent) {
  *call.pctx = HandleOf(Current());
  End(call);
}

FAKE(CuCtxGetDevice) {
  *call.device = 0;
  End(call, Current() ? kOk : cu::CUDA_ERROR_INVALID_CONTEXT);
}
FAKE(CuCtxGetDevice_v2) {
  *call.device = 0;
  End(call);
}
FAKE(CuCtxGetFlags) {
  *call.flags = 0;
  End(call);
}
FAKE(CuCtxGetId) {
  *call.ctxId = 1;
  End(call);
}
FAKE(CuCtxGetLimit) {
  *call.pvalue = 1024;
  End(call);
}
FAKE(CuCtxGetApiVersion) {
  *call.version = kDriverVersion;
  End(call);
}
FAKE(CuCtxGetStreamPriorityRange) {
  if (call.leastPriority) *call.leastPriority = 0;
  if (call.greatestPriority) *call.greatestPriority = -5;
  End(call);
}

FAKE(CuInit) {
  LoadInjected();
  End(call, CardIsVisible() ? kOk : cu::CUDA_ERROR_NO_DEVICE);
}
FAKE(CuDriverGetVersion) {
  *call.driverVersion = kDriverVersion;
  End(call);
}
FAKE(CuDeviceGetCount) {
  *call.count = CardIsVisible();
  End(call);
}
FAKE(CuDeviceGet) {
  *call.device = 0;
  End(call, call.ordinal == 0 && CardIsVisible() ? kOk : cu::CUDA_ERROR_INVALID_VALUE);
}
FAKE(CuDeviceGetName) {
  snprintf(call.name, static_cast<size_t>(call.len), "flexai fake card");
  End(call);
}
FAKE(CuDeviceGetPCIBusId) {
  snprintf(call.pciBusId, static_cast<size_t>(call.len), "0000:01:00.0");
  End(call);
}
FAKE(CuDeviceGetUuid) {
  memcpy(call.uuid, kUuid, sizeof(*call.uuid));
  End(call);
}
FAKE(CuDeviceGetUuid_v2) {
  memcpy(call.uuid, kUuid, sizeof(*call.uuid));
  End(call);
}
FAKE(CuDeviceTotalMem) {
  *call.bytes = static_cast<unsigned>(SharedCard::Instance().total());
  End(call);
}
FAKE(CuDeviceTotalMem_v2) {
  *call.bytes = SharedCard::Instance().total();
  End(call);
}
FAKE(CuDeviceGetAttribute) {
  *call.pi = Attribute(static_cast<int>(call.attrib));
  End(call);
}
FAKE(CuDeviceComputeCapability) {
  *call.major = Capability() / 10;
  *call.minor = Capability() % 10;
  End(call);
}
FAKE(CuOccupancyAvailableDynamicSMemPerBlock) {
  *call.dynamicSmemSize = static_cast<size_t>(Attribute(97));  // the most that a block may ask for
  End(call);
}
FAKE(CuOccupancyMaxActiveClusters) {
  const auto units = static_cast<int>(fake::Card::Instance().config().compute_units);
  const int blocks = BlocksOfCluster(call.config);
  // A cluster lies within one group of units; libraries work out the groups from several answers.
  *call.numClusters =
      units / kUnitsOfGroup * (kUnitsOfGroup / blocks) + units % kUnitsOfGroup / blocks;
  End(call);
}
FAKE(CuDeviceCanAccessPeer) {
  *call.canAccessPeer = 0;
  End(call);
}
FAKE(CuModuleGetLoadingMode) {
  *call.mode = 2;
  End(call);
}
FAKE(CuGetErrorString) {
  *call.pStr = call.error == cu::CUDA_SUCCESS ? "no error" : "an error of the fake driver";
  End(call);
}
FAKE(CuGetErrorName) {
  *call.pStr = call.error == cu::CUDA_SUCCESS ? "CUDA_SUCCESS" : "CUDA_ERROR";
  End(call);
}
FAKE(CuGetExportTable) {
  const void* table = call.pExportTableId ? FindTable(call.pExportTableId) : nullptr;
  if (call.ppExportTable) *call.ppExportTable = table;
  End(call, table ? kOk : cu::CUDA_ERROR_NOT_FOUND);
}

}  // namespace flexai::fake
