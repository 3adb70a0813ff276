#include "flexai/backend/cuda/reserves.h"

#include <algorithm>

#include "flexai/backend/cuda/holdings.h"
#include "flexai/backend/cuda/sizes.h"

namespace flexai::backend::cuda {
namespace {

// Attribute numbers of the driver. Source: CUDA Driver API, enums CUmemPool_attribute and
// CUgraphMem_attribute.
constexpr api::CUmemPool_attribute kPoolReserved = 5;
constexpr api::CUmemPool_attribute kPoolUsed = 7;
constexpr api::CUgraphMem_attribute kGraphUsed = 0;
constexpr api::CUgraphMem_attribute kGraphReserved = 2;
// CUgraphNodeType.
constexpr api::CUgraphNodeType kKernel = 0;
constexpr api::CUgraphNodeType kChildGraph = 4;
constexpr api::CUgraphNodeType kMemoryAlloc = 10;
constexpr int kDeepest = 64;

api::CUmemoryPool PoolOf(uint64_t key) { return reinterpret_cast<api::CUmemoryPool>(key); }

}  // namespace

Reserves::State Reserves::Ask(uint64_t key) {
  State state;
  if (IsGraph(key)) {
    const auto ask = Real().cuDeviceGetGraphMemAttribute;
    const auto device = static_cast<api::CUdevice_v1>(key - 1);
    if (!ask || ask(device, kGraphReserved, &state.reserved) != api::CUDA_SUCCESS) return {};
    ask(device, kGraphUsed, &state.used);
    return state;
  }
  const auto ask = Real().cuMemPoolGetAttribute;
  if (!ask || ask(PoolOf(key), kPoolReserved, &state.reserved) != api::CUDA_SUCCESS) return {};
  ask(PoolOf(key), kPoolUsed, &state.used);
  return state;
}

void Reserves::Trim(uint64_t key) {
  if (IsGraph(key)) {
    if (Real().cuDeviceGraphMemTrim) {
      Real().cuDeviceGraphMemTrim(static_cast<api::CUdevice_v1>(key - 1));
    }
  } else if (Real().cuMemPoolTrimTo) {
    Real().cuMemPoolTrimTo(PoolOf(key), 0);
  }
}

uint64_t Reserves::Plan(uint64_t key, uint64_t bytes, uint64_t step) {
  const State state = Ask(key);
  const uint64_t free = state.reserved - std::min(state.reserved, state.used);
  return bytes > free ? RoundUp(bytes - free, step) : 0;
}

uint64_t Reserves::Grown(uint64_t key) {
  const uint64_t reserved = Ask(key).reserved;
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t booked = booked_[key].bytes;
  return reserved > booked ? reserved - booked : 0;
}

void Reserves::Keep(uint64_t key, uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mu_);
  Book& book = booked_[key];
  book.bytes += bytes;
  ++book.keeps;
}

bool Reserves::Settle(uint64_t key, slice::Ledger& ledger) {
  const uint64_t keeps = KeepsOf(key);
  return SettleTo(key, Ask(key), keeps, ledger);
}

uint64_t Reserves::KeepsOf(uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = booked_.find(key);
  return found == booked_.end() ? 0 : found->second.keeps;
}

// What another thread has booked since the driver was asked is not in its answer.
bool Reserves::SettleTo(uint64_t key, const State& state, uint64_t keeps, slice::Ledger& ledger) {
  uint64_t less = 0;
  {
    std::lock_guard<std::mutex> lock(mu_);
    const auto found = booked_.find(key);
    if (found == booked_.end() || found->second.keeps != keeps) return false;
    if (found->second.bytes <= state.reserved) return false;
    less = found->second.bytes - state.reserved;
    found->second.bytes = state.reserved;
  }
  ledger.Release(less);
  return true;
}

std::vector<uint64_t> Reserves::Booked() {
  std::vector<uint64_t> keys;
  std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [key, book] : booked_) {
    if (book.bytes > 0 && !IsDetached(key)) keys.push_back(key);
  }
  return keys;
}

// A free that waits in another stream is not back yet, so a later wait asks again.
void Reserves::SettleFreed(slice::Ledger& ledger) {
  if (!freed_.load(std::memory_order_relaxed)) {
    if (!waits_.load(std::memory_order_relaxed)) return;
    const Nanos now = MonotonicNow();
    Nanos last = asked_at_.load(std::memory_order_relaxed);
    if (now - last < kSettleEvery || !asked_at_.compare_exchange_strong(last, now)) return;
  }
  SettleFreedNow(ledger);
}

void Reserves::SettleFreedNow(slice::Ledger& ledger) {
  const bool freed = freed_.exchange(false);
  if (!waits_.exchange(false) && !freed) return;
  bool waits = false;
  for (const uint64_t key : Booked()) {
    if (IsGraph(key)) continue;
    const uint64_t keeps = KeepsOf(key);
    const State state = Ask(key);
    SettleTo(key, state, keeps, ledger);
    waits |= HandsOutMore(key, state) || KeepsOf(key) != keeps;
  }
  if (waits) waits_.store(true);
}

// Than the pieces that are in the books.
bool Reserves::HandsOutMore(uint64_t key, const State& state) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = booked_.find(key);
  return found != booked_.end() && state.used > found->second.piece_bytes;
}

bool Reserves::Recover(slice::Ledger& ledger) {
  bool any = false;
  for (const uint64_t key : Booked()) {
    Trim(key);
    any |= Settle(key, ledger);
  }
  return any;
}

void Reserves::KeepOnHost(uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  booked_[key].on_host = true;
}

bool Reserves::IsOnHost(uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = booked_.find(key);
  return found != booked_.end() && found->second.on_host;
}

bool Reserves::Has(uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  return booked_.count(key) > 0;
}

uint64_t Reserves::Used(uint64_t key) { return Has(key) ? Ask(key).used : 0; }

void Reserves::KeepPiece(uint64_t address, uint64_t bytes, uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  pieces_[address] = {key, bytes};
  Book& book = booked_[key];
  ++book.pieces;
  book.piece_bytes += bytes;
}

bool Reserves::HasPiece(uint64_t address) {
  std::lock_guard<std::mutex> lock(mu_);
  return pieces_.count(address) > 0;
}

TakenPiece Reserves::TakePiece(uint64_t address) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = pieces_.find(address);
  if (found == pieces_.end()) return {};
  TakenPiece taken = {address, found->second.bytes, found->second.key};
  pieces_.erase(found);
  const auto at = booked_.find(taken.key);
  if (at == booked_.end()) return taken;
  Book& book = at->second;
  freed_.store(true);
  book.piece_bytes -= taken.bytes;
  if (--book.pieces > 0 || !book.ended) return taken;
  taken.freed = book.bytes;
  booked_.erase(at);
  return taken;
}

void Reserves::PutBack(const TakenPiece& piece) {
  if (piece.address == 0) return;
  std::lock_guard<std::mutex> lock(mu_);
  pieces_[piece.address] = {piece.key, piece.bytes};
  Book& book = booked_[piece.key];
  ++book.pieces;
  book.piece_bytes += piece.bytes;
  if (piece.freed == 0) return;
  book.bytes = piece.freed;
  book.ended = true;
}

void Reserves::MoveLocked(uint64_t from, uint64_t to) {
  Book& book = booked_[to];
  book.bytes += booked_[from].bytes;
  book.pieces += booked_[from].pieces;
  book.piece_bytes += booked_[from].piece_bytes;
  book.on_host = booked_[from].on_host;
  book.keeps += booked_[from].keeps;
  booked_.erase(from);
  for (auto& [address, piece] : pieces_) {
    if (piece.key == from) piece.key = to;
  }
}

uint64_t Reserves::Detach(uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  if (booked_.count(key) == 0) return 0;
  const uint64_t detached = next_detached_;
  next_detached_ += 2;
  MoveLocked(key, detached);
  return detached;
}

void Reserves::Attach(uint64_t detached, uint64_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  if (detached != 0) MoveLocked(detached, key);
}

uint64_t Reserves::End(uint64_t detached) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = booked_.find(detached);
  if (found == booked_.end()) return 0;
  found->second.ended = true;
  if (found->second.pieces > 0) return 0;
  const uint64_t bytes = found->second.bytes;
  booked_.erase(found);
  return bytes;
}

// Those of graphs within it, too.
template <class F>
void Graphs::ForEachNode(api::CUgraph graph, int depth, const F& f) {
  const api::Real& real = Real();
  size_t count = 0;
  if (depth > kDeepest || !real.cuGraphGetNodes ||
      real.cuGraphGetNodes(graph, nullptr, &count) != api::CUDA_SUCCESS) {
    return;
  }
  std::vector<api::CUgraphNode> nodes(count);
  if (real.cuGraphGetNodes(graph, nodes.data(), &count) != api::CUDA_SUCCESS) return;
  for (size_t i = 0; i < std::min(count, nodes.size()); ++i) {
    api::CUgraphNodeType type = {};
    if (real.cuGraphNodeGetType(nodes[i], &type) != api::CUDA_SUCCESS) continue;
    api::CUgraph child = nullptr;
    if (type != kChildGraph) {
      f(nodes[i], type);
    } else if (real.cuGraphChildGraphNodeGetGraph &&
               real.cuGraphChildGraphNodeGetGraph(nodes[i], &child) == api::CUDA_SUCCESS) {
      ForEachNode(child, depth + 1, f);
    }
  }
}

Graphs::Nodes Graphs::Look(api::CUgraph graph) {
  Nodes found;
  if (!Real().cuGraphMemAllocNodeGetParams) return found;
  ForEachNode(graph, 0, [&found](api::CUgraphNode at, api::CUgraphNodeType type) {
    if (type != kMemoryAlloc) return;
    api::CUDA_MEM_ALLOC_NODE_PARAMS_v1 node = {};
    Real().cuGraphMemAllocNodeGetParams(at, &node);
    found.bytes += RoundUp(node.bytesize, kBlock);
    if (found.device < 0) found.device = LocationIn(&node.poolProps);
  });
  return found;
}

uint64_t Graphs::OwnBytes(api::CUgraph graph) {
  constexpr uint64_t kOfNode = 2320;  // 220 to 224 MiB of 100,000 kernels, measured on an H200
  uint64_t nodes = 0;
  if (graph) ForEachNode(graph, 0, [&nodes](api::CUgraphNode, api::CUgraphNodeType) { ++nodes; });
  return nodes * kOfNode < kBlock ? 0 : RoundUp(nodes * kOfNode, kBlock);
}

std::vector<uint64_t> Graphs::KernelsIn(api::CUgraph graph) {
  std::vector<uint64_t> kernels;
  if (!Real().cuGraphKernelNodeGetParams_v2) return kernels;
  ForEachNode(graph, 0, [&kernels](api::CUgraphNode at, api::CUgraphNodeType type) {
    api::CUDA_KERNEL_NODE_PARAMS_v2 node = {};
    if (type != kKernel || Real().cuGraphKernelNodeGetParams_v2(at, &node) != api::CUDA_SUCCESS) {
      return;
    }
    if (node.func) kernels.push_back(intercept::ToWord(node.func));
    if (node.kern) kernels.push_back(intercept::ToWord(node.kern));
  });
  return kernels;
}

void Graphs::Learn(uint64_t exec, api::CUgraph graph, uint64_t need) {
  const Nodes nodes = Look(graph);
  std::lock_guard<std::mutex> lock(mu_);
  if (need > 0) {
    needs_[exec] = need;
    any_needs_.store(true, std::memory_order_relaxed);
  } else {
    needs_.erase(exec);
  }
  if (nodes.bytes == 0) {
    execs_.erase(exec);
    return;
  }
  execs_[exec] = {nodes.bytes, nodes.device};
  any_.store(true, std::memory_order_relaxed);
}

void Graphs::Forget(uint64_t exec) {
  if (!any_.load(std::memory_order_relaxed) && !any_needs_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  execs_.erase(exec);
  needs_.erase(exec);
}

uint64_t Graphs::NeedOf(uint64_t exec) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = needs_.find(exec);
  return found == needs_.end() ? 0 : found->second;
}

uint64_t Graphs::BytesOf(uint64_t exec) {
  if (!any_.load(std::memory_order_relaxed)) return 0;
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = execs_.find(exec);
  return found == execs_.end() ? 0 : found->second.bytes;
}

int Graphs::DeviceOf(uint64_t exec) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = execs_.find(exec);
  return found == execs_.end() || found->second.device < 0 ? CurrentDevice() : found->second.device;
}

bool Graphs::MayGrow(uint64_t exec) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = execs_.find(exec);
  return found != execs_.end() && found->second.launched_at != trims_.load();
}

void Graphs::Launched(uint64_t exec) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = execs_.find(exec);
  if (found != execs_.end()) found->second.launched_at = trims_.load();
}

}  // namespace flexai::backend::cuda
