// The fake driver's cards, contexts, errors and look-ups.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <utility>

#include "flexai/backend/cuda/fake_bodies.h"
#include "flexai/backend/cuda/fake_tables.h"
#include "flexai/backend/cuda/look_up_row.h"
#include "flexai/backend/nvidia/import_slot.h"
#include "flexai/base/log.h"

namespace flexai::api::cuda {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::backend::cuda::fake_driver {
namespace {

struct State {
  std::mutex mu;  // guards what follows
  std::map<const void*, std::shared_ptr<Object>> objects;
};
State& TheState() {
  static State* const state = new State;
  return *state;
}
thread_local std::vector<Context*> t_contexts;

// Each card has one for the process's life; it holds something while it has users.
struct Primary {
  std::mutex mu;  // guards what follows
  std::shared_ptr<Context> context;
  int users = 0;
  explicit Primary(int card) : context(std::make_shared<Context>(card)) { Register(context); }
};
Primary& PrimaryOf(int card) {
  static auto* const primaries = [] {
    auto* made = new std::deque<Primary>;
    for (int i = 0; i < CardCount(); ++i) made->emplace_back(i);
    return made;
  }();
  return (*primaries)[static_cast<size_t>(card)];
}

// By the process's numbers of them, as CUDA_VISIBLE_DEVICES was at the first look.
const std::vector<int>& SeenCards() {
  static auto* const seen = new std::vector<int>(CardsInList(getenv("CUDA_VISIBLE_DEVICES")));
  return *seen;
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
  nvidia::ReplaceImport(library, "ioctl", reinterpret_cast<void*>(&AskModule));
  if (library) dlclose(library);
  const char* levers = getenv("FLEXAI_FAKE_LEVERS");
  if (levers && !TheModule().Pretend(levers)) Notice("FLEXAI_FAKE_LEVERS=%s is not known", levers);
  TheModule().OnChange([](int card, bool stands) {
    fake::Card::Instance(card).Stop(stands);
    SharedCard::Instance(card).Stands(stands);
  });
}

std::unique_ptr<PretendChannels> MakeChannels(int card) {
  const auto call = [](int fd, unsigned long request, void* argument) {
    return ioctl(fd, request, argument);
  };
  return std::make_unique<PretendChannels>(+call, -1, kComputeChannels, kCopyChannels,
                                           /*one_by_one=*/false, card);
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

cu::CUcontext PrimaryHandle(int card) { return HandleOf(PrimaryOf(card).context.get()); }

int CardOf(cu::CUdevice_v1 device) {
  const auto index = static_cast<size_t>(device);  // one below 0 is past the end
  return index < SeenCards().size() ? SeenCards()[index] : -1;
}

cu::CUdevice_v1 DeviceOf(int card) {
  const auto found = std::find(SeenCards().begin(), SeenCards().end(), card);
  return found == SeenCards().end() ? -1 : static_cast<int>(found - SeenCards().begin());
}

int CurrentCard() {
  const Context* const context = Current();
  return context ? context->card : std::max(CardOf(0), 0);
}

namespace {

// False where the card is full.
bool Fill(Context* context) {
  const uint64_t bytes = ContextBytes();
  if (!SharedCard::Instance(context->card).Take(bytes)) return false;
  context->bytes = bytes;
  context->channels = MakeChannels(context->card);
  return true;
}

template <class C>
void CreateContext(C& call) {
  OnCard(call, call.dev, [&](int card) {
    const auto context = std::make_shared<Context>(card);
    if (!Fill(context.get())) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
    Register(context);
    *call.pctx = HandleOf(context.get());
    t_contexts.push_back(context.get());
    End(call);
  });
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
  OnCard(call, call.dev, [&](int card) {
    Primary& primary = PrimaryOf(card);
    std::lock_guard<std::mutex> lock(primary.mu);
    if (primary.users > 0 && --primary.users == 0) {
      primary.context->channels.reset();
      FreeMemoryOf(*primary.context);
      FreeModulesOf(*primary.context);
      SharedCard::Instance(card).Give(std::exchange(primary.context->bytes, 0));
      ForgetLocals(HandleOf(primary.context.get()));
    }
    End(call);
  });
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

template <class C>
void TellDevice(C& call, const Context* context) {
  if (!context) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  *call.device = DeviceOf(context->card);
  End(call);
}

struct AttributeValue {
  int attribute;
  int value;
};
// What programs look at when they start. Source: CUDA Driver API, CUdevice_attribute.
constexpr AttributeValue kAttributes[] = {
    {1, 1024},     {2, 1024},    {3, 1024},      {4, 64},    {5, 0x7fffffff},  {6, 65535},
    {7, 65535},    {8, 49152},   {9, 65536},     {10, 32},   {11, 0x7fffffff}, {12, 65536},
    {13, 1980000}, {14, 512},    {15, 1},        {19, 1},    {31, 1},          {32, 1},
    {36, 2619000}, {37, 5120},   {38, 52428800}, {39, 2048}, {40, 1},          {41, 1},
    {78, 1},       {81, 233472}, {82, 65536},    {83, 1},    {88, 1},          {89, 1},
    {91, 1},       {95, 1},      {97, 232448},   {102, 1},   {103, 1},         {106, 32},
    {115, 1},
};

// Ten times major plus minor. Libraries that look into their code take other ways on newer cards.
int Capability() {
  const char* asked = getenv("FLEXAI_FAKE_CAPABILITY");
  return asked ? atoi(asked) : 90;
}

}  // namespace

int Attribute(int card, int asked) {
  if (asked == 75) return Capability() / 10;
  if (asked == 76) return Capability() % 10;
  if (asked == 16) return static_cast<int>(fake::Card::Instance(card).config().compute_units);
  if (asked == 33) return NameOfCard(card).bus;
  if (asked == 34) return NameOfCard(card).device;
  if (asked == 50) return NameOfCard(card).domain;
  for (const AttributeValue& known : kAttributes) {
    if (known.attribute == asked) return known.value;
  }
  return 0;
}

namespace {

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
void TellUuid(C& call) {
  OnCard(call, call.dev, [&](int card) {
    memcpy(call.uuid, NameOfCard(card).uuid, sizeof(*call.uuid));
    End(call);
  });
}

template <class C>
void TellTotal(C& call) {
  OnCard(call, call.dev, [&](int card) {
    using Word = std::remove_pointer_t<decltype(call.bytes)>;
    *call.bytes = static_cast<Word>(SharedCard::Instance(card).total());
    End(call);
  });
}

template <class C>
void TellMemory(C& call) {
  using Word = std::remove_pointer_t<decltype(call.total)>;
  if (!Current()) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  const SharedCard& card = SharedCard::Instance(Current()->card);
  if (call.free) *call.free = static_cast<Word>(card.total() - card.used());
  if (call.total) *call.total = static_cast<Word>(card.total());
  End(call);
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
  if (!call.symbol || !call.pfn) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  // No function here is known by its address: the version and the kind of stream decide.
  static const std::vector<void*> nowhere(cu::kFunctionCount);
  const int row = RowOfLookUp(call.symbol, call.cudaVersion, call.flags, &nowhere, nowhere.data());
  *call.pfn = row >= 0 ? cu::kFakeFunctions[row] : nullptr;
  if constexpr (requires { call.symbolStatus; }) {
    const unsigned why_not = IsLookedUp(call.symbol) ? 2 : 1;  // too old a version, no such name
    if (call.symbolStatus) *call.symbolStatus = *call.pfn ? 0 : why_not;
    return End(call);
  }
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
FAKE_AS(CuGetProcAddress_v2, LookUp)

FAKE(CuDevicePrimaryCtxRetain) {
  OnCard(call, call.dev, [&](int card) {
    Primary& primary = PrimaryOf(card);
    std::lock_guard<std::mutex> lock(primary.mu);
    if (primary.users == 0 && !Fill(primary.context.get())) {
      return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
    }
    ++primary.users;
    *call.pctx = HandleOf(primary.context.get());
    End(call);
  });
}

FAKE(CuDevicePrimaryCtxGetState) {
  OnCard(call, call.dev, [&](int card) {
    Primary& primary = PrimaryOf(card);
    std::lock_guard<std::mutex> lock(primary.mu);
    if (call.flags) *call.flags = 0;
    if (call.active) *call.active = primary.users > 0;
    End(call);
  });
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

FAKE(CuCtxGetDevice) { TellDevice(call, Current()); }
FAKE(CuCtxGetDevice_v2) { TellDevice(call, call.ctx ? ContextOf(call.ctx) : Current()); }
FAKE(CuCtxGetFlags) {
  *call.flags = 0;
  End(call);
}
FAKE(CuCtxGetId) {
  *call.ctxId = 1;
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
  End(call, SeenCards().empty() ? cu::CUDA_ERROR_NO_DEVICE : kOk);
}
FAKE(CuDriverGetVersion) {
  *call.driverVersion = kDriverVersion;
  End(call);
}
FAKE(CuDeviceGetCount) {
  *call.count = static_cast<int>(SeenCards().size());
  End(call);
}
FAKE(CuDeviceGet) {
  OnCard(call, call.ordinal, [&](int) {
    *call.device = call.ordinal;
    End(call);
  });
}
FAKE(CuDeviceGetName) {
  OnCard(call, call.dev, [&](int) {
    snprintf(call.name, static_cast<size_t>(call.len), "flexai fake card");
    End(call);
  });
}
FAKE(CuDeviceGetPCIBusId) {
  OnCard(call, call.dev, [&](int card) {
    const CardName name = NameOfCard(card);
    snprintf(call.pciBusId, static_cast<size_t>(call.len), "%04x:%02x:%02x.0", name.domain,
             name.bus, name.device);
    End(call);
  });
}
FAKE_AS(CuDeviceGetUuid, TellUuid)
FAKE_AS(CuDeviceGetUuid_v2, TellUuid)
FAKE_AS(CuDeviceTotalMem, TellTotal)
FAKE_AS(CuDeviceTotalMem_v2, TellTotal)
FAKE(CuDeviceGetAttribute) {
  OnCard(call, call.dev, [&](int card) {
    *call.pi = Attribute(card, static_cast<int>(call.attrib));
    End(call);
  });
}
FAKE(CuDeviceComputeCapability) {
  OnCard(call, call.dev, [&](int) {
    *call.major = Capability() / 10;
    *call.minor = Capability() % 10;
    End(call);
  });
}
FAKE(CuOccupancyAvailableDynamicSMemPerBlock) {
  *call.dynamicSmemSize =
      static_cast<size_t>(Attribute(CurrentCard(), 97));  // the most that a block may ask for
  End(call);
}
FAKE(CuOccupancyMaxActiveClusters) {
  const auto units = Attribute(CurrentCard(), 16);
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
