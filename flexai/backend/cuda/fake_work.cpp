// The fake driver's modules, launches, copies and graphs. A launch costs card time
// and computes nothing. Bytes move when it is called: to and from the host behind what the stream
// holds; on the card at once, with the card time that it takes behind what the stream holds.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "flexai/backend/cuda/fake_bodies.h"
#include "flexai/backend/cuda/probe_kernel.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

// As measured on an H100.
constexpr uint64_t kGraphGrowth = uint64_t{32} << 20;

using fake::Card;

// What graphs have reserved on a card; a launch takes it, a trim gives it back.
struct GraphMemory {
  std::mutex mu;  // guards what follows
  uint64_t reserved = 0, used = 0;
};
GraphMemory& GraphMemoryOf(int card) {
  static auto* const memory = new std::array<GraphMemory, kMostCards>;
  return (*memory)[static_cast<size_t>(card)];
}

void AddKernelNode(Graph* graph, const std::shared_ptr<Function>& function) {
  auto node = std::make_shared<Node>();
  node->type = 0;
  node->function = function;
  Register(node);
  graph->nodes.push_back(node);
}

int64_t LaunchOn(const void* handle, uint64_t items,
                 const std::shared_ptr<Function>& function = nullptr) {
  const std::shared_ptr<Queue> stream = FindStream(handle);
  if (!stream) return cu::CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture) {
    stream->capture->items += items;
    if (function) AddKernelNode(stream->capture, function);
    return Spoilt(*stream);
  }
  if (function && !MakeRoom(Current(), *function)) return cu::CUDA_ERROR_OUT_OF_MEMORY;
  auto task = std::make_shared<fake::Task>();
  task->work = [] { return int64_t{0}; };
  task->compute = true;
  Card& card = Card::Instance(stream->card);
  task->cost = card.CostOf(items);
  card.Submit(stream->queue, task, {});
  return kOk;
}

// What filling and copying on the card cost, as a launch would.
constexpr uint64_t kBytesOfItem = 64 << 10;
int64_t MoveOn(const void* handle, uint64_t bytes) {
  return bytes ? LaunchOn(handle, (bytes + kBytesOfItem - 1) / kBytesOfItem) : kOk;
}

int64_t Copy(const void* handle, void* to, const void* from, uint64_t bytes) {
  const std::shared_ptr<Queue> stream = FindStream(handle);
  if (!stream) return cu::CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture) return Spoilt(*stream);
  Wait(*stream);
  memmove(to, from, bytes);
  return kOk;
}

template <class T>
int64_t Fill(const void* handle, uint64_t to, T value, uint64_t count) {
  const std::shared_ptr<Queue> stream = FindStream(handle);
  if (stream && !stream->capture) std::fill_n(reinterpret_cast<T*>(to), count, value);
  return MoveOn(handle, count * sizeof(T));
}

template <class C>
const void* StreamIn(const C& call) {
  if constexpr (requires { call.hStream; }) return Meant<C>(call.hStream);
  return Meant<C>(nullptr);
}
template <class T>
void* Pointer(T address) {
  if constexpr (std::is_pointer_v<T>)
    return const_cast<void*>(static_cast<const void*>(address));
  else
    return reinterpret_cast<void*>(static_cast<uintptr_t>(address));
}

template <class C>
void CopyIn(C& call) {
  End(call, Copy(StreamIn(call), Pointer(call.dstDevice), call.srcHost, call.ByteCount));
}
template <class C>
void CopyOut(C& call) {
  End(call, Copy(StreamIn(call), call.dstHost, Pointer(call.srcDevice), call.ByteCount));
}
template <class C>
void CopyOn(C& call) {
  const std::shared_ptr<Queue> stream = FindStream(StreamIn(call));
  if (stream && !stream->capture) {
    memmove(Pointer(call.dstDevice), Pointer(call.srcDevice), call.ByteCount);
  }
  End(call, MoveOn(StreamIn(call), call.ByteCount));
}
template <class C>
void CopyAny(C& call) {
  End(call, Copy(StreamIn(call), Pointer(call.dst), Pointer(call.src), call.ByteCount));
}
template <class C>
void Fill8(C& call) {
  End(call, Fill(StreamIn(call), uint64_t{call.dstDevice}, call.uc, call.N));
}
template <class C>
void Fill16(C& call) {
  End(call, Fill(StreamIn(call), uint64_t{call.dstDevice}, call.us, call.N));
}
template <class C>
void Fill32(C& call) {
  End(call, Fill(StreamIn(call), uint64_t{call.dstDevice}, call.ui, call.N));
}

// The one kernel that is known by its name, and does what its code says.
int64_t LaunchProbe(const void* handle, void** parameters) {
  const std::shared_ptr<Queue> stream = FindStream(handle);
  if (!stream) return cu::CUDA_ERROR_INVALID_HANDLE;
  const auto address = *static_cast<const uint64_t*>(parameters[0]);
  const auto longest = static_cast<Nanos>(*static_cast<const uint64_t*>(parameters[1]));
  Card& card = Card::Instance(stream->card);
  auto task = std::make_shared<fake::Task>();
  task->compute = true;
  task->work = [&card, address, longest] {
    auto* words = reinterpret_cast<volatile ProbeWords*>(address);
    for (const Nanos end = MonotonicNow() + longest; !words->end && MonotonicNow() < end;) {
      card.PassStop();
      words->count = words->count + 1;
      usleep(50);
    }
    return int64_t{0};
  };
  card.Submit(stream->queue, task, {});
  return kOk;
}

template <class C>
void Launch(C& call) {
  const auto function = Find<Function>(call.f);
  if (function && function->name == kProbeKernelName) {
    return End(call, LaunchProbe(StreamIn(call), call.kernelParams));
  }
  const uint64_t items = uint64_t{call.gridDimX} * call.gridDimY * call.gridDimZ * call.blockDimX *
                         call.blockDimY * call.blockDimZ;
  End(call, LaunchOn(StreamIn(call), items, function));
}
template <class C>
void LaunchEx(C& call) {
  // CUlaunchConfig: six sizes, the shared bytes, then the stream.
  const auto* words = reinterpret_cast<const uint32_t*>(call.config);
  uint64_t items = 1;
  for (int i = 0; i < 6; ++i) items *= words[i];
  const void* stream = nullptr;
  memcpy(&stream, words + 8, sizeof(stream));
  End(call, LaunchOn(Meant<C>(stream), items, Find<Function>(call.f)));
}

template <class C, class H>
void LoadModule(C& call, H* handle, const void* image = nullptr) {
  const auto module = NewModule(image);
  if (!module) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  *handle = reinterpret_cast<H>(static_cast<Object*>(module.get()));
  End(call);
}
template <class C, class H>
void FindFunction(C& call, H* handle, const void* in, const char* name) {
  const auto function = Make<Function>(handle);
  function->name = name ? name : "";
  if (const auto module = Find<Module>(in)) {
    function->room = module->room;
    function->allocates = module->allocates;
    function->module = module;
  }
  End(call);
}

constexpr uint32_t kLocalSize = 3;
template <class C>
void TellOfFunction(C& call, const void* handle) {
  const auto function = Find<Function>(handle);
  const bool room = call.attrib == kLocalSize;
  *call.pi = room ? static_cast<int>(function ? function->room : 0) : 1;
  End(call);
}

// Whatever name is asked for is there: nobody has looked into the code.
template <class C>
void TellGlobal(C& call, const void* handle) {
  constexpr uint64_t kBytes = 4096;
  const auto module = Find<Module>(handle);
  if (!module) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  uint64_t& address = module->globals[call.name];
  if (address == 0) address = ReserveAddresses(kBytes);
  if (call.dptr) *call.dptr = static_cast<std::remove_pointer_t<decltype(call.dptr)>>(address);
  if (call.bytes) *call.bytes = static_cast<std::remove_pointer_t<decltype(call.bytes)>>(kBytes);
  End(call);
}

template <class C>
void Instantiate(C& call) {
  const auto graph = Find<Graph>(call.hGraph);
  if (!graph) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  int card = CurrentCard();
  for (const auto& node : graph->nodes) {
    if (node->type == 10) card = node->card;
  }
  for (const auto& node : graph->nodes) {
    if (node->function && !MakeRoom(Current(), *node->function)) {
      return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
    }
  }
  // As measured on an H200: 220 MiB of 100,000 nodes.
  constexpr uint64_t kOfNode = 2304;
  const uint64_t own = graph->nodes.size() * kOfNode;
  const auto taken = own < kBlock ? nullptr : TakeMemory(card, RoundUp(own, kBlock));
  if (own >= kBlock && !taken) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  const auto exec = Make<Exec>(call.phGraphExec, card);
  exec->items = graph->items;
  exec->own = taken;
  for (const auto& node : graph->nodes) {
    if (node->type == 10) exec->bytes += RoundUp(node->memory.bytesize, kBlock);
    if (node->function) exec->functions.push_back(node->function);
  }
  End(call);
}
template <class C>
void LaunchGraph(C& call, const void* handle) {
  const auto exec = Find<Exec>(handle);
  if (!exec) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  for (const auto& function : exec->functions) {
    if (!MakeRoom(Current(), *function)) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  GraphMemory& memory = GraphMemoryOf(exec->card);
  {
    std::lock_guard<std::mutex> lock(memory.mu);
    const uint64_t free = memory.reserved - memory.used;
    if (!exec->mapped && exec->bytes > free) {
      const uint64_t more = RoundUp(exec->bytes - free, kGraphGrowth);
      if (!SharedCard::Instance(exec->card).Take(more)) {
        return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
      }
      memory.reserved += more;
    }
    if (!exec->mapped) memory.used += exec->bytes;
    exec->mapped = true;
  }
  End(call, exec->items ? LaunchOn(StreamIn(call), exec->items) : kOk);
}
template <class C>
void Update(C& call) {
  const auto exec = Find<Exec>(call.hGraphExec);
  const auto graph = Find<Graph>(call.hGraph);
  if (!exec || !graph) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  exec->items = graph->items;
  End(call);
}
template <class C>
void One(C& call, int* answer) {
  if (answer) *answer = 1;
  End(call);
}

}  // namespace

std::shared_ptr<Node> AddMemoryNode(Graph* graph, uint64_t bytes, int card) {
  auto node = std::make_shared<Node>();
  node->type = 10;
  node->card = card;
  const Location location = {kOnDevice, DeviceOf(card)};
  memcpy(reinterpret_cast<char*>(&node->memory.poolProps) + 8, &location, sizeof(location));
  node->memory.bytesize = bytes;
  node->memory.dptr = ReserveAddresses(bytes);
  Register(node);
  graph->nodes.push_back(node);
  return node;
}

}  // namespace flexai::backend::cuda::fake_driver

namespace flexai::fake {

FAKE_AS(CuMemcpyHtoD, CopyIn)
FAKE_BOTH(CuMemcpyHtoD_v2, _ptds, CopyIn)
FAKE_AS(CuMemcpyHtoDAsync, CopyIn)
FAKE_BOTH(CuMemcpyHtoDAsync_v2, _ptsz, CopyIn)
FAKE_AS(CuMemcpyDtoH, CopyOut)
FAKE_BOTH(CuMemcpyDtoH_v2, _ptds, CopyOut)
FAKE_AS(CuMemcpyDtoHAsync, CopyOut)
FAKE_BOTH(CuMemcpyDtoHAsync_v2, _ptsz, CopyOut)
FAKE_AS(CuMemcpyDtoD, CopyOn)
FAKE_BOTH(CuMemcpyDtoD_v2, _ptds, CopyOn)
FAKE_AS(CuMemcpyDtoDAsync, CopyOn)
FAKE_BOTH(CuMemcpyDtoDAsync_v2, _ptsz, CopyOn)
FAKE_BOTH(CuMemcpyPeer, _ptds, CopyOn)
FAKE_BOTH(CuMemcpyPeerAsync, _ptsz, CopyOn)
FAKE_BOTH(CuMemcpy, _ptds, CopyAny)
FAKE_BOTH(CuMemcpyAsync, _ptsz, CopyAny)
FAKE_AS(CuMemsetD8, Fill8)
FAKE_BOTH(CuMemsetD8_v2, _ptds, Fill8)
FAKE_BOTH(CuMemsetD8Async, _ptsz, Fill8)
FAKE_AS(CuMemsetD16, Fill16)
FAKE_BOTH(CuMemsetD16_v2, _ptds, Fill16)
FAKE_BOTH(CuMemsetD16Async, _ptsz, Fill16)
FAKE_AS(CuMemsetD32, Fill32)
FAKE_BOTH(CuMemsetD32_v2, _ptds, Fill32)
FAKE_BOTH(CuMemsetD32Async, _ptsz, Fill32)
FAKE_BOTH(CuLaunchKernel, _ptsz, Launch)
FAKE_BOTH(CuLaunchCooperativeKernel, _ptsz, Launch)
FAKE_BOTH(CuLaunchKernelEx, _ptsz, LaunchEx)
FAKE_AS(CuGraphInstantiate, Instantiate)
FAKE_AS(CuGraphInstantiate_v2, Instantiate)
FAKE_AS(CuGraphInstantiateWithFlags, Instantiate)
FAKE_BOTH(CuGraphInstantiateWithParams, _ptsz, Instantiate)
FAKE_AS(CuGraphExecUpdate, Update)
FAKE_AS(CuGraphExecUpdate_v2, Update)
FAKE(CuGraphLaunch) { LaunchGraph(call, call.hGraph); }
FAKE(CuGraphLaunch_ptsz) { LaunchGraph(call, call.hGraphExec); }
FAKE(CuGraphUpload) { LaunchGraph(call, call.hGraph); }
FAKE(CuGraphUpload_ptsz) { LaunchGraph(call, call.hGraphExec); }

FAKE(CuThreadExchangeStreamCaptureMode) {
  static thread_local cu::CUstreamCaptureMode mode = 0;
  std::swap(mode, *call.mode);
  End(call);
}
FAKE(CuModuleLoadData) { LoadModule(call, call.module, call.image); }
FAKE(CuModuleLoadDataEx) { LoadModule(call, call.module); }
FAKE(CuModuleLoadFatBinary) { LoadModule(call, call.module); }
FAKE(CuLibraryLoadData) { LoadModule(call, call.library, call.code); }
FAKE(CuModuleUnload) { End(call, Remove(call.hmod) ? kOk : cu::CUDA_ERROR_INVALID_HANDLE); }
FAKE(CuLibraryUnload) { End(call, Remove(call.library) ? kOk : cu::CUDA_ERROR_INVALID_HANDLE); }
FAKE(CuFuncLoad) {
  const auto function = Find<Function>(call.function_);
  if (!function) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  End(call, LoadCodeOf(*function) ? kOk : cu::CUDA_ERROR_OUT_OF_MEMORY);
}
FAKE(CuModuleGetFunction) { FindFunction(call, call.hfunc, call.hmod, call.name); }
FAKE(CuLibraryGetKernel) { FindFunction(call, call.pKernel, call.library, call.name); }
FAKE(CuLibraryGetModule) {
  *call.pMod = reinterpret_cast<cu::CUmodule>(call.library);
  End(call);
}
FAKE(CuKernelGetFunction) {
  const auto kernel = Find<Function>(call.kernel);
  if (!kernel) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (!kernel->function) {
    kernel->function = std::make_shared<Function>(*kernel);
    Register(kernel->function);
  }
  *call.pFunc = reinterpret_cast<cu::CUfunction>(static_cast<Object*>(kernel->function.get()));
  End(call);
}
FAKE(CuModuleGetGlobal) { TellGlobal(call, call.hmod); }
FAKE(CuModuleGetGlobal_v2) { TellGlobal(call, call.hmod); }
FAKE(CuLibraryGetGlobal) { TellGlobal(call, call.library); }
FAKE(CuFuncGetAttribute) { TellOfFunction(call, call.hfunc); }
FAKE(CuKernelGetAttribute) { TellOfFunction(call, call.kernel); }
FAKE(CuOccupancyMaxActiveBlocksPerMultiprocessor) { One(call, call.numBlocks); }
FAKE(CuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags) { One(call, call.numBlocks); }
FAKE(CuOccupancyMaxPotentialClusterSize) { One(call, call.clusterSize); }

FAKE(CuGraphCreate) {
  Make<Graph>(call.phGraph);
  End(call);
}
FAKE(CuGraphDestroy) { End(call, Remove(call.hGraph) ? kOk : cu::CUDA_ERROR_INVALID_HANDLE); }
FAKE(CuGraphAddMemAllocNode) {
  const auto graph = Find<Graph>(call.hGraph);
  if (!graph) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  const Location location = LocationIn(&call.nodeParams->poolProps);
  const int card = location.type == kOnDevice ? CardOf(location.id) : -1;
  if (card < 0) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const auto node = AddMemoryNode(graph.get(), call.nodeParams->bytesize, card);
  call.nodeParams->dptr = node->memory.dptr;
  *call.phGraphNode = reinterpret_cast<cu::CUgraphNode>(static_cast<Object*>(node.get()));
  End(call);
}
template <class C>
void AddPlainNode(C& call, uint32_t type) {
  const auto graph = Find<Graph>(call.hGraph);
  if (!graph) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  const auto node = Make<Node>(call.phGraphNode);
  node->type = type;
  graph->nodes.push_back(node);
  End(call);
}
FAKE(CuGraphAddMemFreeNode) { AddPlainNode(call, 11); }
FAKE(CuGraphAddEmptyNode) { AddPlainNode(call, 5); }
FAKE(CuGraphMemAllocNodeGetParams) {
  const auto node = Find<Node>(call.hNode);
  if (node) *call.params_out = node->memory;
  End(call, node ? kOk : cu::CUDA_ERROR_INVALID_HANDLE);
}
FAKE(CuGraphKernelNodeGetParams_v2) {
  const auto node = Find<Node>(call.hNode);
  if (!node || !node->function) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  *call.nodeParams = {};
  call.nodeParams->func =
      reinterpret_cast<cu::CUfunction>(static_cast<Object*>(node->function.get()));
  End(call);
}
FAKE(CuGraphNodeGetType) {
  const auto node = Find<Node>(call.hNode);
  if (node) *call.type = node->type;
  End(call, node ? kOk : cu::CUDA_ERROR_INVALID_HANDLE);
}
FAKE(CuGraphGetNodes) {
  const auto graph = Find<Graph>(call.hGraph);
  if (!graph) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  const size_t most = call.nodes ? std::min(*call.numNodes, graph->nodes.size()) : 0;
  for (size_t i = 0; i < most; ++i) {
    Object* node = graph->nodes[i].get();
    call.nodes[i] = reinterpret_cast<cu::CUgraphNode>(node);
  }
  *call.numNodes = call.nodes ? most : graph->nodes.size();
  End(call);
}
FAKE(CuGraphExecDestroy) {
  const auto exec = Find<Exec>(call.hGraphExec);
  if (!exec) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (exec->mapped) {
    GraphMemory& memory = GraphMemoryOf(exec->card);
    std::lock_guard<std::mutex> lock(memory.mu);
    memory.used -= exec->bytes;
  }
  Remove(call.hGraphExec);
  End(call);
}
FAKE(CuDeviceGraphMemTrim) {
  OnCard(call, call.device, [&](int card) {
    GraphMemory& memory = GraphMemoryOf(card);
    std::lock_guard<std::mutex> lock(memory.mu);
    const uint64_t least = backend::cuda::RoundUp(memory.used, kGraphGrowth);
    SharedCard::Instance(card).Give(memory.reserved - least);
    memory.reserved = least;
    End(call);
  });
}
FAKE(CuDeviceGetGraphMemAttribute) {
  OnCard(call, call.device, [&](int card) {
    GraphMemory& memory = GraphMemoryOf(card);
    std::lock_guard<std::mutex> lock(memory.mu);
    *static_cast<uint64_t*>(call.value) = call.attr < 2 ? memory.used : memory.reserved;
    End(call);
  });
}

}  // namespace flexai::fake
