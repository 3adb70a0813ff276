// Pools of the stream ordered allocator, and graphs: what the driver takes beforehand and hands out
// by itself.
#include <algorithm>

#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/sizes.h"
#include "flexai/backend/cuda/slice_rules.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

// What a call takes from.
struct Source {
  api::CUmemoryPool pool = nullptr;
  api::CUstream stream = nullptr;
  bool named = false;  // the call says which pool
};

Source SourceIn(Call& call) {
  Source from;
  const auto read = [&](const auto& c) {
    from.stream = c.hStream;
    if constexpr (requires { c.pool; }) {
      from.pool = c.pool;
      from.named = true;
    }
  };
  switch (call.info().index) {
    case api::CuMemAllocFromPoolAsyncCall::kIndex:
      read(call.As<api::CuMemAllocFromPoolAsyncCall>());
      break;
    case api::CuMemAllocFromPoolAsync_ptszCall::kIndex:
      read(call.As<api::CuMemAllocFromPoolAsync_ptszCall>());
      break;
    case api::CuMemAllocAsyncCall::kIndex:
      read(call.As<api::CuMemAllocAsyncCall>());
      break;
    case api::CuMemAllocAsync_ptszCall::kIndex:
      read(call.As<api::CuMemAllocAsync_ptszCall>());
      break;
    default:
      break;
  }
  if (!from.stream && IsPerThread(call.info().name)) {
    from.stream = reinterpret_cast<api::CUstream>(kThreadStream);
  }
  return from;
}

// Of the stream's card, where the call names none.
void FindPool(Source* from) {
  if (from->named) return;
  const int device = DeviceOfStream(from->stream);
  if (device >= 0 && Real().cuDeviceGetMemPool) Real().cuDeviceGetMemPool(&from->pool, device);
}

// What a call makes executable, or changes an executable one to.
struct Executable {
  api::CUgraph graph = nullptr;
  const api::CUgraphExec* exec = nullptr;  // of a new one, filled by the call
  bool is_changed = false;                 // it was there before
};

Executable ExecutableIn(const Call& call) {
  Executable made;
  const auto read = [&](const auto& c) {
    made.graph = c.hGraph;
    if constexpr (requires { c.phGraphExec; }) {
      made.exec = c.phGraphExec;
    } else {
      made.exec = &c.hGraphExec;
      made.is_changed = true;
    }
  };
  switch (call.info().index) {
    case api::CuGraphInstantiateCall::kIndex:
      read(call.As<api::CuGraphInstantiateCall>());
      break;
    case api::CuGraphInstantiate_v2Call::kIndex:
      read(call.As<api::CuGraphInstantiate_v2Call>());
      break;
    case api::CuGraphInstantiateWithFlagsCall::kIndex:
      read(call.As<api::CuGraphInstantiateWithFlagsCall>());
      break;
    case api::CuGraphInstantiateWithParamsCall::kIndex:
      read(call.As<api::CuGraphInstantiateWithParamsCall>());
      break;
    case api::CuGraphInstantiateWithParams_ptszCall::kIndex:
      read(call.As<api::CuGraphInstantiateWithParams_ptszCall>());
      break;
    case api::CuGraphExecUpdateCall::kIndex:
      read(call.As<api::CuGraphExecUpdateCall>());
      break;
    case api::CuGraphExecUpdate_v2Call::kIndex:
      read(call.As<api::CuGraphExecUpdate_v2Call>());
      break;
    default:
      break;
  }
  return made;
}

// Between Asks and Keep of one call, on one thread: the reserve, room for threads of kernels, and
// what a graph takes itself.
thread_local uint64_t t_reserve __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint64_t t_room __attribute__((tls_model("initial-exec"))) = 0;
thread_local uint64_t t_own __attribute__((tls_model("initial-exec"))) = 0;

}  // namespace

bool SliceRules::AsksPool(Call& call, uint64_t* bytes) {
  Source from = SourceIn(call);
  // In a capture it becomes a node of a graph, and counts when that is launched.
  if (IsCapturing(from.stream)) return false;
  FindPool(&from);
  if (!from.pool) {
    // A call that names none, or has neither context nor stream, the driver refuses, and says why.
    if (from.named || IsDefaultStream(from.stream)) return false;
    *bytes = ~uint64_t{0};  // what cannot be counted is more than there is
    return true;
  }
  t_reserve = reinterpret_cast<uint64_t>(from.pool);
  if (reserves_.IsOnHost(t_reserve)) return false;
  *bytes = reserves_.Plan(t_reserve, call.charge(), kPoolStep);
  return true;
}

// What the driver takes for itself when a graph is made executable it keeps for others, so that
// nothing could be undone: near the limit there has to be room for it before. Small graphs share
// blocks, and programs change graphs in each of their steps: that is left to the next comparison.
bool SliceRules::AsksExec(const Call& call, uint64_t* bytes) {
  constexpr uint64_t kNoGraphTakes = uint64_t{4} << 30;
  const Executable made = ExecutableIn(call);
  const slice::Ledger* ledger = tenant_->ledger();
  t_room = thread_memory_.GrowthFor(made.graph);
  uint64_t own = 0;
  if (!made.is_changed && ledger && ledger->free_bytes() < kNoGraphTakes) {
    own = Graphs::OwnBytes(made.graph);
  }
  if (own < kBlock || !MeasuresNear(own)) own = 0;
  t_own = own;
  *bytes = t_room + own;
  return *bytes > 0;
}

uint64_t SliceRules::HeldByExec(uint64_t asked) {
  return t_own == 0 || MayHaveTaken() ? asked : t_room;
}

void SliceRules::KeepOfExec(uint64_t bytes, slice::Ledger& ledger) {
  if (bytes == 0) return;
  t_room != 0 ? RoomMade(bytes, ledger) : ledger.Advance(bytes);
}

// Room for the threads of its kernels was made when it was made executable, and may have been given
// back since.
uint64_t SliceRules::AsksRoom(const Call& call) {
  if (!thread_memory_.MayGrow() || BaseName(call.info().name) != "cuGraphLaunch") return 0;
  const CaptureSafe safe;
  if (!thread_memory_.IsKnown()) LookAtThreadMemory();
  return thread_memory_.GrowthForNeed(graphs_.NeedOf(call.handle()));
}

bool SliceRules::AsksGraph(Call& call, uint64_t* bytes) {
  const uint64_t exec = call.handle();
  const uint64_t most = graphs_.BytesOf(exec);
  t_room = AsksRoom(call);
  t_reserve = most > 0 ? Reserves::GraphKey(graphs_.DeviceOf(exec)) : 0;
  *bytes = t_room;
  if (most > 0 && graphs_.MayGrow(exec)) *bytes += reserves_.Plan(t_reserve, most, kPoolStep);
  return most > 0 || t_room > 0;
}

uint64_t SliceRules::HeldByGraph(const Call& call, uint64_t asked) {
  return t_room + (t_reserve != 0 ? HeldInReserve(call, asked - t_room) : 0);
}

void SliceRules::KeepOfGraph(const Call& call, uint64_t bytes, slice::Ledger& ledger) {
  if (t_reserve != 0) {
    reserves_.Keep(t_reserve, bytes - t_room);
    graphs_.Launched(call.handle());
  }
  if (t_room != 0) RoomMade(t_room, ledger);
}

void SliceRules::PoolMade(const Call& call) {
  const auto& c = call.As<api::CuMemPoolCreateCall>();
  reserves_.Keep(call.created(), 0);
  if (IsOnHost(c.poolProps)) reserves_.KeepOnHost(call.created());
}

uint64_t SliceRules::HeldInReserve(const Call& call, uint64_t asked) {
  const uint64_t grown = reserves_.Grown(t_reserve);
  if (DoesOf(call) == Does::kAllocateFromPool) return grown;
  // It runs already, so what it took beyond the plan is booked, limit or not.
  if (grown > asked && tenant_->ledger()) {
    tenant_->ledger()->Book(grown - asked);
    reserves_.Keep(t_reserve, grown - asked);
  }
  return std::min(grown, asked);
}

void SliceRules::KeepInReserve(const Call& call, uint64_t bytes, slice::Ledger& ledger) {
  reserves_.Keep(t_reserve, bytes);
  reserves_.KeepPiece(call.created(), RoundUp(call.charge(), kPieceStep), t_reserve);
  reserves_.Settle(t_reserve, ledger);
}

void SliceRules::UndoInPool(Call& call, api::CUdeviceptr_v2 address) {
  Source from = SourceIn(call);
  FindPool(&from);
  Real().cuMemFreeAsync(address, from.stream);
  Real().cuStreamSynchronize(from.stream);
  Real().cuMemPoolTrimTo(from.pool, 0);
}

int SliceRules::DeviceOfGraph(const Call& call) const {
  const api::CUgraph graph = ExecutableIn(call).graph;
  if (!graph) return -1;
  const CaptureSafe safe;
  return Graphs::Look(graph).device;
}

void SliceRules::LearnGraph(Call& call) {
  const Executable made = ExecutableIn(call);
  if (!made.exec) return;
  const CaptureSafe safe;
  graphs_.Learn(intercept::ToWord(*made.exec), made.graph, thread_memory_.NeedToKnow(made.graph));
  slice::Ledger* ledger = tenant_->ledger();
  if (ledger && !made.is_changed) ledger->TookUnforeseen();
}

}  // namespace flexai::backend::cuda
