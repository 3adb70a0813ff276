#include "flexai/backend/cuda/slice_rules.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/sizes.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

// The pool that a call takes from; null for one that the driver will refuse.
api::CUmemoryPool PoolIn(Call& call, api::CUstream* stream) {
  switch (call.info().index) {
    case api::CuMemAllocFromPoolAsyncCall::kIndex: {
      const auto& c = call.As<api::CuMemAllocFromPoolAsyncCall>();
      *stream = c.hStream;
      return c.pool;
    }
    case api::CuMemAllocFromPoolAsync_ptszCall::kIndex: {
      const auto& c = call.As<api::CuMemAllocFromPoolAsync_ptszCall>();
      *stream = c.hStream;
      return c.pool;
    }
    default:
      break;
  }
  *stream = reinterpret_cast<api::CUstream>(call.handle());
  api::CUmemoryPool pool = nullptr;
  if (Real().cuDeviceGetMemPool) Real().cuDeviceGetMemPool(&pool, CurrentDevice());
  return pool;
}

// Between Asks and Keep of one call, on one thread.
thread_local uint64_t t_planned __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint64_t t_reserve __attribute__((tls_model("initial-exec"))) = 0;
// Between Asks and MadeUnmeasured: a context of which nothing is known is being made.
thread_local bool t_unmeasured __attribute__((tls_model("initial-exec"))) = false;
// Between BeforeWatched and MadeUnmeasured.
thread_local uint64_t t_free_before __attribute__((tls_model("initial-exec"))) = 0;
// Between Drop and Dropped.
thread_local Taken t_taken __attribute__((tls_model("initial-exec")));

// Of the card, which others use, too: enough to tell whether to ask what this process holds.
uint64_t FreeOnCard() {
  const CaptureSafe safe;
  size_t free = 0, total = 0;
  const api::Real& real = Real();
  return real.cuMemGetInfo_v2 && real.cuMemGetInfo_v2(&free, &total) == api::CUDA_SUCCESS ? free
                                                                                          : 0;
}

// Code that was only asked about stays, with an answer that it does not fit.
void UnloadCode(const Call& call) {
  if (call.created() == 0) return;
  const std::string_view name = BaseName(call.info().name);
  if (name.substr(0, 12) == "cuModuleLoad") {
    Real().cuModuleUnload(reinterpret_cast<api::CUmodule>(call.created()));
  } else if (name.substr(0, 13) == "cuLibraryLoad") {
    Real().cuLibraryUnload(reinterpret_cast<api::CUlibrary>(call.created()));
  }
}

// What may live on elsewhere counts until the driver has been asked.
void Count(const Let& let, slice::Ledger& ledger) {
  ledger.Release(let.freed);
  if (let.shared) ledger.Advance(let.exported);
}

}  // namespace

SliceRules::SliceRules(slice::Tenant* tenant, slice::QueueWatch* queues)
    : tenant_(tenant), queues_(queues), does_(LearnAll()) {}

std::array<SliceRules::Does, api::kFunctionCount> SliceRules::LearnAll() {
  std::array<Does, api::kFunctionCount> does = {};
  for (const intercept::FnInfo& info : api::kFunctions) does[info.index] = Learn(info.name);
  return does;
}

SliceRules::Does SliceRules::Learn(const char* name) {
  static constexpr std::pair<std::string_view, Does> kDoes[] = {
      {"cuMemAlloc", Does::kAllocate},
      {"cuMemAllocManaged", Does::kAllocateManaged},
      {"cuMemAllocPitch", Does::kAllocatePitch},
      {"cuMemAllocAsync", Does::kAllocateFromPool},
      {"cuMemAllocFromPoolAsync", Does::kAllocateFromPool},
      {"cuMemPoolCreate", Does::kCreatePool},
      {"cuMemCreate", Does::kCreatePhysical},
      {"cuArrayCreate", Does::kCreateArray},
      {"cuArray3DCreate", Does::kCreateArray},
      {"cuMipmappedArrayCreate", Does::kCreateArray},
      {"cuImportExternalMemory", Does::kImportExternal},
      {"cuCtxCreate", Does::kCreateContext},
      {"cuDevicePrimaryCtxRetain", Does::kCreateContext},
      {"cuGreenCtxCreate", Does::kCreateContext},
      {"cuGraphLaunch", Does::kLaunchGraph},
      {"cuGraphUpload", Does::kLaunchGraph},
      {"cuMemFree", Does::kFree},
      {"cuMemFreeAsync", Does::kFree},
      {"cuArrayDestroy", Does::kFreeObject},
      {"cuMipmappedArrayDestroy", Does::kFreeObject},
      {"cuDestroyExternalMemory", Does::kFreeObject},
      {"cuMemRelease", Does::kReleasePhysical},
      {"cuMemUnmap", Does::kUnmap},
      {"cuMemPoolDestroy", Does::kDestroyPool},
      {"cuMemPoolTrimTo", Does::kTrimPool},
      {"cuMemPoolSetAttribute", Does::kTrimPool},
      {"cuDeviceGraphMemTrim", Does::kTrimGraphs},
      {"cuGraphExecDestroy", Does::kDestroyExec},
      {"cuMemMap", Does::kMap},
      {"cuMemRetainAllocationHandle", Does::kRetain},
      {"cuMemImportFromShareableHandle", Does::kImport},
      {"cuMemExportToShareableHandle", Does::kExport},
      {"cuModuleUnload", Does::kUnloadCode},
      {"cuLibraryUnload", Does::kUnloadCode},
      {"cuModuleLoad", Does::kLoadCode},
      {"cuModuleLoadData", Does::kLoadCode},
      {"cuModuleLoadDataEx", Does::kLoadCode},
      {"cuModuleLoadFatBinary", Does::kLoadCode},
      {"cuModuleGetGlobal", Does::kLoadCode},
      {"cuLibraryLoadData", Does::kLoadCode},
      {"cuLibraryLoadFromFile", Does::kLoadCode},
      {"cuLibraryGetModule", Does::kLoadCode},
      {"cuLibraryGetGlobal", Does::kLoadCode},
      {"cuGraphInstantiate", Does::kLearnGraph},
      {"cuGraphInstantiateWithFlags", Does::kLearnGraph},
      {"cuGraphInstantiateWithParams", Does::kLearnGraph},
      {"cuGraphExecUpdate", Does::kLearnGraph},
  };
  const std::string_view base = BaseName(name);
  for (const auto& [known, does] : kDoes) {
    if (known == base) return does;
  }
  return Does::kNothing;
}

// Whatever the driver does when the process ends, it shall not wait for a card that is held: what
// is registered now is called before what the driver has registered so far.
void SliceRules::AfterStart(Call& call) {
  tenant_->PublishWorkers();
  if (call.ok() && call.info().event == intercept::Event::kContextCreate) {
    queues_.ContextMade(call.created());
  }
  if (call.ok() && call.info().index == api::CuDevicePrimaryCtxRetainCall::kIndex) {
    const auto& c = call.As<api::CuDevicePrimaryCtxRetainCall>();
    const auto device = static_cast<size_t>(c.dev);
    if (Real().cuDevicePrimaryCtxGetState && device < primary_.size()) {
      primary_[device].store(reinterpret_cast<uint64_t>(*c.pctx), std::memory_order_relaxed);
    }
  }
  if (!call.ok() || ends_with_us_.exchange(true)) return;
  on_exit([](int, void* tenant) { static_cast<slice::Tenant*>(tenant)->Exit(); }, tenant_);
}

bool SliceRules::Asks(Call& call, uint64_t* bytes) {
  switch (DoesOf(call)) {
    case Does::kAllocate:
    case Does::kAllocateManaged:
      // Only its address will tell whether it found room in a block that is there.
      *bytes = RoundUp(call.charge(), kBlock);
      return *bytes > 0;
    case Does::kAllocatePitch:
      *bytes = RoundUp(PitchedBytes(call, /*after=*/false), kBlock);
      return *bytes > 0;
    case Does::kCreateArray:
      t_planned = ArrayBytes(call);
      break;
    case Does::kImportExternal:
      t_planned = ExternalBytes(call);
      break;
    case Does::kCreatePhysical:
      *bytes = t_planned = PhysicalBytes(call);
      return true;
    case Does::kAllocateFromPool:
      return AsksPool(call, bytes);
    case Does::kLaunchGraph:
      return AsksGraph(call, bytes);
    case Does::kCreateContext:
      return AsksContext(call, bytes);
    default:
      return false;
  }
  if (t_planned == 0) return false;
  *bytes = holdings_.Plan(t_planned);
  return true;
}

bool SliceRules::AsksPool(Call& call, uint64_t* bytes) {
  api::CUstream stream = nullptr;
  const api::CUmemoryPool pool = PoolIn(call, &stream);
  // In a capture it becomes a node of a graph, and counts when that is launched.
  if (!pool || IsCapturing(stream)) return false;
  t_reserve = reinterpret_cast<uint64_t>(pool);
  *bytes = reserves_.Plan(t_reserve, call.charge(), kPoolStep);
  return true;
}

bool SliceRules::AsksGraph(Call& call, uint64_t* bytes) {
  const uint64_t exec = call.handle();
  const uint64_t most = graphs_.BytesOf(exec);
  if (most == 0) return false;
  t_reserve = Reserves::GraphKey(CurrentDevice());
  *bytes = graphs_.MayGrow(exec) ? reserves_.Plan(t_reserve, most, kPoolStep) : 0;
  return true;
}

// Only measuring tells what a context holds; until then, what one held before.
bool SliceRules::AsksContext(const Call& call, uint64_t* bytes) const {
  const slice::Region* region = tenant_->region();
  t_unmeasured = false;
  if (!region) return false;
  if (call.info().index == api::CuDevicePrimaryCtxRetainCall::kIndex) {
    const auto& c = call.As<api::CuDevicePrimaryCtxRetainCall>();
    unsigned flags = 0;
    int active = 0;
    if (Real().cuDevicePrimaryCtxGetState &&
        Real().cuDevicePrimaryCtxGetState(c.dev, &flags, &active) == api::CUDA_SUCCESS && active) {
      return false;
    }
  }
  *bytes = region->header.context_bytes.load(std::memory_order_relaxed);
  t_unmeasured = *bytes == 0;
  return *bytes > 0;
}

void SliceRules::BeforeWatched(Call& call) {
  queues_.Before(call);
  if (DoesOf(call) == Does::kLoadCode) t_free_before = FreeOnCard();
}

bool SliceRules::MadeUnmeasured(Call& call) {
  if (DoesOf(call) == Does::kCreateContext) return std::exchange(t_unmeasured, false);
  // Code takes what the driver finds right for it, and the data that it declares.
  return DoesOf(call) == Does::kLoadCode && FreeOnCard() + kBlock <= t_free_before;
}

void SliceRules::Failed(Call& call) {
  switch (DoesOf(call)) {
    case Does::kCreateArray:
    case Does::kImportExternal:
      holdings_.Unplan(t_planned);
      return;
    default:
      return;
  }
}

bool SliceRules::Recover(slice::Ledger& ledger) {
  const CaptureSafe safe;
  graphs_.Trimmed();
  return reserves_.Recover(ledger);
}

uint64_t SliceRules::Held(Call& call, uint64_t asked) {
  switch (DoesOf(call)) {
    case Does::kAllocate:
      return holdings_.KeepRange(call.created(), call.charge(), /*managed=*/false,
                                 CurrentContext());
    case Does::kAllocateManaged:
      return holdings_.KeepRange(call.created(), call.charge(), /*managed=*/true, CurrentContext());
    case Does::kAllocatePitch:
      return holdings_.KeepRange(call.created(), PitchedBytes(call, /*after=*/true), false,
                                 CurrentContext());
    case Does::kAllocateFromPool:
      return reserves_.Grown(t_reserve);
    case Does::kLaunchGraph: {
      const uint64_t grown = reserves_.Grown(t_reserve);
      // It runs already, so what it took beyond the plan is booked, limit or not.
      if (grown > asked && tenant_->ledger()) {
        tenant_->ledger()->Book(grown - asked);
        reserves_.Keep(t_reserve, grown - asked);
      }
      return std::min(grown, asked);
    }
    default:
      return asked;
  }
}

void SliceRules::Keep(Call& call, uint64_t bytes, slice::Ledger& ledger) {
  switch (DoesOf(call)) {
    case Does::kAllocate:
    case Does::kAllocatePitch:
      return;
    case Does::kAllocateManaged:
      return ledger.CountUnseen(static_cast<int64_t>(call.charge()));
    case Does::kCreatePhysical:
      return holdings_.KeepPhysical(call.created(), bytes);
    case Does::kAllocateFromPool:
      reserves_.Keep(t_reserve, bytes);
      reserves_.Settle(t_reserve, ledger);
      return;
    case Does::kLaunchGraph:
      graphs_.Launched(call.handle());
      return reserves_.Keep(t_reserve, bytes);
    case Does::kCreateContext:
      return ledger.Advance(bytes);
    default:
      return holdings_.Keep(call.created(), t_planned, CurrentContext());
  }
}

void SliceRules::Undo(Call& call) {
  const CaptureSafe safe;
  const auto address = static_cast<api::CUdeviceptr_v2>(call.created());
  if (DoesOf(call) == Does::kAllocate || DoesOf(call) == Does::kAllocateManaged ||
      DoesOf(call) == Does::kAllocatePitch) {
    holdings_.Take(call.created());
    Real().cuMemFree_v2(address);
  } else if (DoesOf(call) == Does::kAllocateFromPool) {
    api::CUstream stream = nullptr;
    const api::CUmemoryPool pool = PoolIn(call, &stream);
    Real().cuMemFreeAsync(address, stream);
    Real().cuStreamSynchronize(stream);
    Real().cuMemPoolTrimTo(pool, 0);
  } else if (DoesOf(call) == Does::kLoadCode) {
    UnloadCode(call);
  } else if (call.info().index == api::CuDevicePrimaryCtxRetainCall::kIndex) {
    Real().cuDevicePrimaryCtxRelease_v2(call.As<api::CuDevicePrimaryCtxRetainCall>().dev);
  } else if (call.info().index == api::CuGreenCtxCreateCall::kIndex) {
    Real().cuGreenCtxDestroy(reinterpret_cast<api::CUgreenCtx>(call.created()));
  } else if (DoesOf(call) == Does::kCreateContext) {
    Real().cuCtxDestroy_v2(reinterpret_cast<api::CUcontext>(call.created()));
  }
}

// What an object holds is forgotten before the driver frees it, because the driver may hand the
// same address to another thread at once; the bytes are given back after it.
void SliceRules::Drop(Call& call, slice::Ledger&) {
  switch (DoesOf(call)) {
    case Does::kFree:
    case Does::kFreeObject:
      t_taken = holdings_.Take(call.dropped());
      return;
    case Does::kDestroyPool:
      call.scratch() = reserves_.Take(call.dropped());
      return;
    case Does::kDestroyExec:
      return graphs_.Forget(call.handle());
    case Does::kTrimGraphs:
      return graphs_.Trimmed();
    default:
      return;
  }
}

void SliceRules::Dropped(Call& call, slice::Ledger& ledger) {
  const uint64_t bytes = call.scratch();
  switch (DoesOf(call)) {
    case Does::kFree:
    case Does::kFreeObject:
      if (!call.ok()) return holdings_.PutBack(t_taken);
      if (t_taken.unseen > 0) ledger.CountUnseen(-static_cast<int64_t>(t_taken.unseen));
      return ledger.Release(t_taken.freed);
    case Does::kDestroyPool:
      if (!call.ok()) return reserves_.Keep(call.dropped(), bytes);
      return ledger.Release(bytes);
    case Does::kReleasePhysical:
      if (call.ok()) Count(holdings_.ReleasePhysical(call.dropped()), ledger);
      return;
    case Does::kUnmap: {
      const auto& c = call.As<api::CuMemUnmapCall>();
      if (call.ok()) Count(holdings_.Unmap(c.ptr, c.size), ledger);
      return;
    }
    case Does::kTrimPool:
      reserves_.Settle(call.handle(), ledger);
      return;
    case Does::kTrimGraphs:
      reserves_.Settle(Reserves::GraphKey(call.As<api::CuDeviceGraphMemTrimCall>().device), ledger);
      return;
    default:
      return;
  }
}

// The context whose end the call was; 0 where others still use it.
uint64_t SliceRules::GoneContext(const Call& call) {
  if (const uint64_t context = call.dropped(); context != 0) return context;
  // One that libraries share goes with its last user.
  for (size_t device = 0; device < primary_.size(); ++device) {
    unsigned flags = 0;
    int active = 1;
    if (primary_[device].load(std::memory_order_relaxed) == 0) continue;
    Real().cuDevicePrimaryCtxGetState(static_cast<int>(device), &flags, &active);
    if (!active) return primary_[device].exchange(0, std::memory_order_relaxed);
  }
  return 0;
}

// What was made in a context goes with it, also what nobody freed.
void SliceRules::AfterWatched(Call& call) {
  queues_.After(call);
  if (DoesOf(call) == Does::kCreatePool && call.ok()) return reserves_.Keep(call.created(), 0);
  if (DoesOf(call) == Does::kUnloadCode) {
    // The next who is refused has the driver asked first.
    if (slice::Ledger* ledger = tenant_->ledger(); ledger && call.ok()) ledger->Advance(0);
    return;
  }
  if (call.info().event != intercept::Event::kContextDestroy || !call.ok()) return;
  slice::Ledger* ledger = tenant_->ledger();
  const uint64_t context = GoneContext(call);
  if (context != 0) queues_.ContextGone(context);
  if (context == 0 || !ledger) return;
  const Taken taken = holdings_.TakeContext(context);
  if (taken.unseen > 0) ledger->CountUnseen(-static_cast<int64_t>(taken.unseen));
  ledger->Release(taken.freed);
  ledger->Retreat(tenant_->region()->header.context_bytes.load(std::memory_order_relaxed));
}

void SliceRules::LearnGraph(Call& call) {
  const CaptureSafe safe;
  const auto learn = [&](const auto* exec, api::CUgraph graph) {
    if (exec) graphs_.Learn(reinterpret_cast<uint64_t>(*exec), graph);
  };
  switch (call.info().index) {
    case api::CuGraphInstantiateCall::kIndex:
      return learn(call.As<api::CuGraphInstantiateCall>().phGraphExec,
                   call.As<api::CuGraphInstantiateCall>().hGraph);
    case api::CuGraphInstantiate_v2Call::kIndex:
      return learn(call.As<api::CuGraphInstantiate_v2Call>().phGraphExec,
                   call.As<api::CuGraphInstantiate_v2Call>().hGraph);
    case api::CuGraphInstantiateWithFlagsCall::kIndex:
      return learn(call.As<api::CuGraphInstantiateWithFlagsCall>().phGraphExec,
                   call.As<api::CuGraphInstantiateWithFlagsCall>().hGraph);
    case api::CuGraphInstantiateWithParamsCall::kIndex:
      return learn(call.As<api::CuGraphInstantiateWithParamsCall>().phGraphExec,
                   call.As<api::CuGraphInstantiateWithParamsCall>().hGraph);
    case api::CuGraphInstantiateWithParams_ptszCall::kIndex:
      return learn(call.As<api::CuGraphInstantiateWithParams_ptszCall>().phGraphExec,
                   call.As<api::CuGraphInstantiateWithParams_ptszCall>().hGraph);
    case api::CuGraphExecUpdateCall::kIndex:
      return learn(&call.As<api::CuGraphExecUpdateCall>().hGraphExec,
                   call.As<api::CuGraphExecUpdateCall>().hGraph);
    case api::CuGraphExecUpdate_v2Call::kIndex:
      return learn(&call.As<api::CuGraphExecUpdate_v2Call>().hGraphExec,
                   call.As<api::CuGraphExecUpdate_v2Call>().hGraph);
    default:
      return;
  }
}

void SliceRules::Hold(Call& call) {
  switch (DoesOf(call)) {
    case Does::kMap: {
      const auto& c = call.As<api::CuMemMapCall>();
      return holdings_.Map(c.ptr, c.size, c.handle);
    }
    case Does::kRetain: {
      const auto& c = call.As<api::CuMemRetainAllocationHandleCall>();
      return holdings_.RetainPhysical(*c.handle, reinterpret_cast<uint64_t>(c.addr));
    }
    case Does::kImport:
      return holdings_.KeepPhysical(*call.As<api::CuMemImportFromShareableHandleCall>().handle, 0);
    case Does::kExport:
      return holdings_.Export(uint64_t{call.As<api::CuMemExportToShareableHandleCall>().handle});
    case Does::kLearnGraph:
      return LearnGraph(call);
    default:
      return;
  }
}

void SliceRules::Answer(Call& call, const slice::Ledger& ledger) {
  const auto show = [&](auto* free, auto* total) {
    using Word = std::remove_pointer_t<decltype(free)>;
    if (free) *free = static_cast<Word>(std::min<uint64_t>(*free, ledger.free_bytes()));
    if (total) *total = static_cast<Word>(std::min<uint64_t>(*total, ledger.limit()));
  };
  switch (call.info().index) {
    case api::CuMemGetInfoCall::kIndex:
      return show(call.As<api::CuMemGetInfoCall>().free, call.As<api::CuMemGetInfoCall>().total);
    case api::CuMemGetInfo_v2Call::kIndex: {
      const auto& c = call.As<api::CuMemGetInfo_v2Call>();
      return show(c.free, c.total);
    }
    case api::CuDeviceTotalMemCall::kIndex: {
      auto* total = call.As<api::CuDeviceTotalMemCall>().bytes;
      return show(static_cast<decltype(total)>(nullptr), total);
    }
    case api::CuDeviceTotalMem_v2Call::kIndex: {
      auto* total = call.As<api::CuDeviceTotalMem_v2Call>().bytes;
      return show(static_cast<decltype(total)>(nullptr), total);
    }
    default:
      return;
  }
}

}  // namespace flexai::backend::cuda
