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

// Between Asks and Keep of one call, on one thread.
thread_local uint64_t t_planned __attribute__((tls_model("initial-exec"))) = 0;
// Between Drop and Dropped.
thread_local Taken t_taken __attribute__((tls_model("initial-exec")));
thread_local Released t_released __attribute__((tls_model("initial-exec")));
thread_local TakenPiece t_piece __attribute__((tls_model("initial-exec")));
thread_local bool t_waits __attribute__((tls_model("initial-exec"))) = false;

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

// What a destroyed pool held. A free that `waits` in its stream counts until the daemon has
// compared the books: that pool cannot be asked.
void GiveBack(uint64_t bytes, bool waits, slice::Ledger& ledger) {
  if (bytes > 0) waits ? ledger.Advance(bytes) : ledger.Release(bytes);
}

bool FreesInOrder(const Call& call) {
  return call.info().index == api::CuMemFreeAsyncCall::kIndex ||
         call.info().index == api::CuMemFreeAsync_ptszCall::kIndex;
}

}  // namespace

SliceRules::SliceRules(slice::Tenant* tenant, slice::QueueWatch* queues)
    : tenant_(tenant), queues_(queues), does_(LearnAll()) {}

std::array<SliceRules::Does, api::kFunctionCount> SliceRules::LearnAll() {
  std::array<Does, api::kFunctionCount> does = {};
  for (const intercept::FnInfo& info : api::kFunctions) does[info.index] = Learn(info.name);
  return does;
}

constinit const std::pair<std::string_view, SliceRules::Does> SliceRules::kDoes[] = {
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
    {"cuLaunchKernel", Does::kLaunch},
    {"cuLaunchKernelEx", Does::kLaunch},
    {"cuLaunchCooperativeKernel", Does::kLaunch},
    {"cuLaunch", Does::kLaunch},
    {"cuLaunchGrid", Does::kLaunch},
    {"cuLaunchGridAsync", Does::kLaunch},
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
    {"cuMemMapArrayAsync", Does::kMapInArray},
    {"cuMulticastBindMem", Does::kBind},
    {"cuMulticastBindAddr", Does::kBind},
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
    {"cuLibraryGetManaged", Does::kLoadCode},
    {"cuFuncLoad", Does::kLoadCode},
    {"cuModuleGetFunction", Does::kGetKernel},
    {"cuModuleEnumerateFunctions", Does::kGetKernel},
    {"cuLibraryGetKernel", Does::kGetKernel},
    {"cuLibraryEnumerateKernels", Does::kGetKernel},
    {"cuStreamCreate", Does::kCreateStream},
    {"cuStreamCreateWithPriority", Does::kCreateStream},
    {"cuGreenCtxStreamCreate", Does::kCreateStream},
    {"cuCtxSetLimit", Does::kSetLimit},
    {"cuGraphInstantiate", Does::kLearnGraph},
    {"cuGraphInstantiateWithFlags", Does::kLearnGraph},
    {"cuGraphInstantiateWithParams", Does::kLearnGraph},
    {"cuGraphExecUpdate", Does::kLearnGraph},
};

SliceRules::Does SliceRules::Learn(const char* name) {
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
  slice::Ledger* ledger = tenant_->ledger();
  if (DoesOf(call) == Does::kCreateStream && call.ok() && ledger && MayHaveTaken()) {
    ledger->TookUnforeseen();
  }
  if (call.ok() && call.info().event == intercept::Event::kContextCreate) {
    queues_.ContextMade(call.created());
    const std::lock_guard<std::mutex> lock(room_mu_);
    thread_memory_.Forget();
    queues_.AskAboutLaunches(thread_memory_.Needing());
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

[[gnu::hot]] bool SliceRules::Asks(Call& call, uint64_t* bytes) {
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
    case Does::kCreateStream:
      // Some share a block, which the driver keeps when they are gone.
      *bytes = kBlock;
      return MeasuresNear(kBlock);
    case Does::kLaunch:
      return AsksLaunch(call, bytes);
    case Does::kLearnGraph:
      return AsksExec(call, bytes);
    case Does::kSetLimit:
      return AsksLimit(call, bytes);
    default:
      return false;
  }
  if (t_planned == 0) return false;
  *bytes = holdings_.Plan(t_planned);
  return true;
}

void SliceRules::BeforeWatched(Call& call) {
  queues_.Before(call);
  if (DoesOf(call) == Does::kLoadCode) Measure();
  if (DoesOf(call) == Does::kUnloadCode) ThreadMemory::ForgetCode(call.handle());
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
  const bool settled = SettleHeaps(ledger);
  return reserves_.Recover(ledger) || settled;
}

[[gnu::hot]] uint64_t SliceRules::Held(Call& call, uint64_t asked) {
  switch (DoesOf(call)) {
    case Does::kAllocate:
      return holdings_.KeepRange(call.created(), call.charge(), /*managed=*/false,
                                 queues_.CurrentKey());
    case Does::kAllocateManaged:
      return holdings_.KeepRange(call.created(), call.charge(), /*managed=*/true,
                                 queues_.CurrentKey());
    case Does::kAllocatePitch:
      return holdings_.KeepRange(call.created(), PitchedBytes(call, /*after=*/true), false,
                                 queues_.CurrentKey());
    case Does::kAllocateFromPool:
      return HeldInReserve(call, asked);
    case Does::kLaunchGraph:
      return HeldByGraph(call, asked);
    case Does::kCreateStream:
      return MayHaveTaken() ? asked : 0;
    case Does::kLearnGraph:
      return HeldByExec(asked);
    case Does::kSetLimit:
      return HeldByLimit(call, asked);
    default:
      return asked;
  }
}

[[gnu::hot]] void SliceRules::Keep(Call& call, uint64_t bytes, slice::Ledger& ledger) {
  switch (DoesOf(call)) {
    case Does::kAllocate:
    case Does::kAllocatePitch:
      return;
    case Does::kAllocateManaged:
      return ledger.CountUnseen(static_cast<int64_t>(call.charge()));
    case Does::kCreatePhysical:
      return holdings_.KeepPhysical(call.created(), bytes);
    case Does::kAllocateFromPool:
      return KeepInReserve(call, bytes, ledger);
    case Does::kLaunchGraph:
      return KeepOfGraph(call, bytes, ledger);
    case Does::kCreateStream:
      if (bytes > 0) ledger.Advance(bytes);
      return;
    case Does::kCreateContext:
      return ledger.Advance(bytes);
    case Does::kLaunch:
      return RoomMade(bytes, ledger);
    case Does::kLearnGraph:
      return KeepOfExec(bytes, ledger);
    case Does::kSetLimit:
      return KeepLimit(call, bytes, ledger);
    default:
      return holdings_.Keep(call.created(), t_planned, queues_.CurrentKey());
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
    UndoInPool(call, address);
  } else if (DoesOf(call) == Does::kLoadCode) {
    UnloadCode(call);
  } else if (DoesOf(call) == Does::kSetLimit) {
    RestoreLimit(call);
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
[[gnu::hot]] void SliceRules::Drop(Call& call, slice::Ledger&) {
  switch (DoesOf(call)) {
    case Does::kFree:
    case Does::kFreeObject:
      t_taken = holdings_.Take(call.dropped());
      t_piece = t_taken.object == 0 ? reserves_.TakePiece(call.dropped()) : TakenPiece{};
      return;
    case Does::kReleasePhysical:
      t_released = holdings_.ReleasePhysical(call.dropped());
      return;
    case Does::kDestroyPool:
      t_waits = reserves_.Used(call.dropped()) > 0;
      call.scratch() = reserves_.Detach(call.dropped());
      return;
    case Does::kDestroyExec:
      return graphs_.Forget(call.handle());
    case Does::kTrimGraphs:
      return graphs_.Trimmed();
    default:
      return;
  }
}

[[gnu::hot]] void SliceRules::Dropped(Call& call, slice::Ledger& ledger) {
  switch (DoesOf(call)) {
    case Does::kFree:
    case Does::kFreeObject:
      if (!call.ok()) {
        reserves_.PutBack(t_piece);
        return holdings_.PutBack(t_taken);
      }
      GiveBack(t_piece.freed, FreesInOrder(call), ledger);
      if (t_taken.unseen > 0) ledger.CountUnseen(-static_cast<int64_t>(t_taken.unseen));
      return ledger.Release(t_taken.freed);
    case Does::kDestroyPool:
      if (!call.ok()) return reserves_.Attach(call.scratch(), call.dropped());
      return GiveBack(reserves_.End(call.scratch()), t_waits, ledger);
    case Does::kReleasePhysical:
      if (!call.ok()) return holdings_.PutBackPhysical(t_released);
      return Count(t_released.let, ledger);
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

bool SliceRules::AfterWatched(Call& call) {
  const bool ok = call.ok();
  queues_.After(call, ok);
  if (!ok) return false;
  slice::Ledger* ledger = tenant_->ledger();
  if (call.info().event == intercept::Event::kSync) {
    if (!ledger) return false;
    reserves_.SettleFreed(*ledger);
    SettleHeapsNowAndThen(*ledger);
    return false;
  }
  switch (DoesOf(call)) {
    case Does::kCreatePool:
      PoolMade(call);
      return false;
    case Does::kUnloadCode:
      // The next who is refused has the driver asked first.
      if (ledger) ledger->Advance(0);
      return false;
    case Does::kGetKernel: {
      // Its code was loaded, or will be at its first launch.
      const bool is_new = ThreadMemory::Learn(call);
      LookAtThreadMemory();
      if (is_new && ledger) ledger->TookUnforeseen();
      return false;
    }
    case Does::kLoadCode:
      // It takes what the driver finds right for it, and the data that it declares.
      return TookMeasured();
    default:
      if (call.info().event == intercept::Event::kContextDestroy) ContextEnded(call, ledger);
      return false;
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
    case Does::kMapInArray:
    case Does::kBind:
      // When the array or the object lets go of it, the driver alone knows, as of what went out.
      for (const uint64_t object : ObjectsHeld(call)) holdings_.Export(object);
      return;
    case Does::kLearnGraph:
      return LearnGraph(call);
    case Does::kSetLimit:
      return LimitSet(call);
    default:
      return;
  }
}

void SliceRules::Answer(Call& call, const slice::Ledger& ledger) {
  slice::Ledger* own = tenant_->ledger();
  if (own && call.info().event == intercept::Event::kMemoryInfo) {
    SettleHeaps(*own);
    reserves_.SettleFreedNow(*own);
    own->SettleAdvance();
  }
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
