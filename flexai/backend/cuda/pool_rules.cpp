// Pools of the stream ordered allocator, and graphs: what the driver takes beforehand and hands out
// by itself.
#include <algorithm>

#include "flexai/backend/cuda/sizes.h"
#include "flexai/backend/cuda/slice_rules.h"

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
thread_local uint64_t t_reserve __attribute__((tls_model("initial-exec"))) = 0;

}  // namespace

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
  if (DoesOf(call) == Does::kLaunchGraph) return graphs_.Launched(call.handle());
  reserves_.KeepPiece(call.created(), t_reserve);
  reserves_.Settle(t_reserve, ledger);
}

void SliceRules::UndoInPool(Call& call, api::CUdeviceptr_v2 address) {
  api::CUstream stream = nullptr;
  const api::CUmemoryPool pool = PoolIn(call, &stream);
  Real().cuMemFreeAsync(address, stream);
  Real().cuStreamSynchronize(stream);
  Real().cuMemPoolTrimTo(pool, 0);
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

}  // namespace flexai::backend::cuda
