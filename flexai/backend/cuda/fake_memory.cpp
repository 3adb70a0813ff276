// The fake driver's memory: linear, pools, arrays. Host memory stands behind it, touched only when
// a program touches it.
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "flexai/backend/cuda/fake_bodies.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

constexpr uint64_t kPoolGrowth = uint64_t{32} << 20;

// Memory at an address.
struct Block {
  uint64_t bytes = 0;
  std::shared_ptr<Taken> taken;      // of a block of its own
  std::shared_ptr<Pool> pool;        // of a piece of a pool
  bool is_piece = false;             // shares blocks with others
  const Context* context = nullptr;  // goes with it; none of a pool's
};
// What pieces share: they go to the first gap.
struct SharedBlock {
  std::map<uint64_t, uint64_t> pieces;  // address, bytes
  std::shared_ptr<Taken> taken;
};

struct Memory {
  std::mutex mu;  // guards what follows
  std::map<uint64_t, Block> blocks;
  std::map<uint64_t, SharedBlock> shared;  // by address
  std::vector<std::weak_ptr<Pool>> pools;
  std::array<std::shared_ptr<Pool>, kMostCards> default_pools, current_pools;  // by card
};
Memory& TheMemory() {
  static Memory* const memory = new Memory;
  return *memory;
}

// The first gap of a shared block that holds `bytes`; 0 if there is none.
uint64_t GapIn(const SharedBlock& block, uint64_t begin, uint64_t bytes) {
  uint64_t at = begin;
  for (const auto& [address, size] : block.pieces) {
    if (address - at >= bytes) return at;
    at = address + size;
  }
  return begin + kBlock - at >= bytes ? at : 0;
}

uint64_t AllocatePieceLocked(Memory& memory, int card, uint64_t bytes) {
  for (auto& [begin, block] : memory.shared) {
    if (block.taken->card != card) continue;
    const uint64_t at = GapIn(block, begin, bytes);
    if (at == 0) continue;
    block.pieces[at] = bytes;
    return at;
  }
  std::shared_ptr<Taken> taken = TakeMemory(card, kBlock);
  const uint64_t begin = taken ? NewBlocks(kBlock) : 0;
  if (begin == 0) return 0;
  SharedBlock& block = memory.shared[begin];
  block.taken = std::move(taken);
  block.pieces[begin] = bytes;
  return begin;
}

void FreePieceLocked(Memory& memory, uint64_t address) {
  const auto block = std::prev(memory.shared.upper_bound(address));
  block->second.pieces.erase(address);
  if (!block->second.pieces.empty()) return;
  munmap(reinterpret_cast<void*>(block->first), kBlock);
  memory.shared.erase(block);
}

int64_t Allocate(uint64_t bytes, uint64_t* address, bool managed = false) {
  if (bytes == 0) return cu::CUDA_ERROR_INVALID_VALUE;
  if (!Current()) return cu::CUDA_ERROR_INVALID_CONTEXT;
  Block block;
  block.context = Current();
  block.is_piece = bytes <= kLargestPiece && !managed;
  block.bytes = RoundUp(bytes, block.is_piece ? kPieceStep : kBlock);
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  if (block.is_piece) {
    *address = AllocatePieceLocked(memory, Current()->card, block.bytes);
  } else {
    block.taken = TakeMemory(Current()->card, block.bytes, managed);
    *address = block.taken ? NewBlocks(block.bytes) : 0;
  }
  if (*address == 0) return cu::CUDA_ERROR_OUT_OF_MEMORY;
  memory.blocks[*address] = block;
  return kOk;
}

int64_t FreeLocked(Memory& memory, uint64_t address) {
  const auto found = memory.blocks.find(address);
  if (found == memory.blocks.end()) return cu::CUDA_ERROR_INVALID_VALUE;
  const Block block = std::move(found->second);
  memory.blocks.erase(found);
  if (block.is_piece) {
    FreePieceLocked(memory, address);
  } else {
    munmap(reinterpret_cast<void*>(address), block.bytes);
  }
  if (block.pool) block.pool->used -= block.bytes;
  return kOk;
}

int64_t Free(uint64_t address) {
  if (address == 0) return kOk;
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  return FreeLocked(memory, address);
}

// Of the allocation that begins there; 0 if there is none.
uint64_t BytesAt(uint64_t address) {
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  const auto found = memory.blocks.find(address);
  return found == memory.blocks.end() ? 0 : found->second.bytes;
}

// Takes no memory of the card: it is held by the process that shares it.
template <class C>
void OpenShared(C& call) {
  Block block;
  memcpy(&block.bytes, &call.handle, sizeof(block.bytes));
  if (block.bytes == 0) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  block.context = Current();
  *call.pdptr = NewAddresses(block.bytes, PROT_READ | PROT_WRITE);
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  memory.blocks[*call.pdptr] = block;
  End(call);
}

int64_t AllocateFrom(const std::shared_ptr<Pool>& pool, uint64_t bytes, uint64_t* address) {
  if (!pool || bytes == 0) return cu::CUDA_ERROR_INVALID_VALUE;
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  Block block;
  block.bytes = RoundUp(bytes, kPieceStep);
  block.pool = pool;
  if (pool->used + block.bytes > pool->reserved) {
    const uint64_t more = RoundUp(pool->used + block.bytes - pool->reserved, kPoolGrowth);
    if (!pool->Take(more)) return cu::CUDA_ERROR_OUT_OF_MEMORY;
    pool->reserved += more;
  }
  pool->used += block.bytes;
  *address = NewAddresses(block.bytes, PROT_READ | PROT_WRITE);
  memory.blocks[*address] = block;
  return kOk;
}

void TrimLocked(Pool& pool, uint64_t keep) {
  const uint64_t least = RoundUp(std::max(pool.used, keep), kPoolGrowth);
  if (pool.reserved <= least) return;
  pool.Give(pool.reserved - least);
  pool.reserved = least;
}

std::shared_ptr<Pool> DefaultPoolLocked(Memory& memory, int card) {
  const auto index = static_cast<size_t>(card);
  std::shared_ptr<Pool>& pool = memory.default_pools[index];
  if (!pool) {
    pool = memory.current_pools[index] = std::make_shared<Pool>(card);
    memory.pools.push_back(pool);
    Register(pool);
  }
  return pool;
}

std::shared_ptr<Pool> DefaultPool(int card) {
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  return DefaultPoolLocked(memory, card);
}

std::shared_ptr<Pool> CurrentPool(int card) {
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  DefaultPoolLocked(memory, card);
  return memory.current_pools[static_cast<size_t>(card)];
}

cu::CUmemoryPool HandleOf(const std::shared_ptr<Pool>& pool) {
  return reinterpret_cast<cu::CUmemoryPool>(static_cast<Object*>(pool.get()));
}

template <class C>
void AllocateLinear(C& call) {
  uint64_t address = 0;
  const int64_t code =
      Allocate(call.bytesize, &address, std::is_same_v<C, cu::CuMemAllocManagedCall>);
  if (code == kOk) *call.dptr = static_cast<std::remove_pointer_t<decltype(call.dptr)>>(address);
  End(call, code);
}

template <class C>
void AllocatePitched(C& call) {
  using Word = std::remove_pointer_t<decltype(call.pPitch)>;
  const auto pitch = static_cast<Word>(RoundUp(call.WidthInBytes, 512));
  uint64_t address = 0;
  const int64_t code = Allocate(uint64_t{pitch} * call.Height, &address);
  if (code == kOk) {
    *call.dptr = static_cast<std::remove_pointer_t<decltype(call.dptr)>>(address);
    *call.pPitch = pitch;
  }
  End(call, code);
}

template <class C>
void FreeLinear(C& call) {
  End(call, Free(call.dptr));
}

// From the current pool of the stream's card, if the call names none.
template <class C>
void AllocateInOrder(C& call) {
  if (reinterpret_cast<uintptr_t>(call.hStream) <= 2 && !Current()) {
    return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  }
  const std::shared_ptr<Queue> stream = StreamOf(call);
  if (!stream) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  if (stream->spoilt) return End(call, Spoilt(*stream));
  if (stream->capture) {
    *call.dptr = AddMemoryNode(stream->capture, call.bytesize, stream->card)->memory.dptr;
    return End(call);
  }
  std::shared_ptr<Pool> pool;
  if constexpr (requires { call.pool; }) {
    pool = Find<Pool>(call.pool);
  } else {
    pool = CurrentPool(stream->card);
  }
  uint64_t address = 0;
  const int64_t code = AllocateFrom(pool, call.bytesize, &address);
  if (code == kOk) *call.dptr = address;
  End(call, code);
}

// Rows of whole tiles, like a card's.
uint64_t LayerBytes(uint64_t width, uint64_t height, uint64_t depth, uint32_t channels) {
  const uint64_t row = RoundUp(std::max<uint64_t>(width, 1) * 4 * std::max(channels, 1u), 512);
  return row * RoundUp(std::max<uint64_t>(height, 1), 8) * std::max<uint64_t>(depth, 1);
}

template <class C>
void MakeArray(C& call, uint64_t bytes, unsigned flags) {
  auto array = Make<Array>(call.pHandle);
  array->bytes = bytes;
  // Sparse, or mapped later: others bring the memory.
  if ((flags & 0xc0) == 0 && !(array->taken = TakeMemory(CurrentCard(), RoundUp(bytes, kBlock)))) {
    Remove(*call.pHandle);
    return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  End(call);
}
template <class C>
void MakeArray2D(C& call) {
  const auto& d = *call.pAllocateArray;
  MakeArray(call, LayerBytes(d.Width, d.Height, 1, d.NumChannels), 0);
}
template <class C>
void MakeArray3D(C& call) {
  const auto& d = *call.pAllocateArray;
  MakeArray(call, LayerBytes(d.Width, d.Height, d.Depth, d.NumChannels), d.Flags);
}
template <class C>
void TellArray(C& call, const void* handle) {
  const auto array = Find<Array>(handle);
  if (!array) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
  *call.memoryRequirements = {array->bytes, kBlock, {}};
  End(call);
}
template <class C>
void RemoveObject(C& call, const void* handle) {
  End(call, Remove(handle) ? kOk : cu::CUDA_ERROR_INVALID_HANDLE);
}

template <class C>
void HostMemory(C& call) {
  *call.pp = reinterpret_cast<void*>(NewAddresses(call.bytesize, PROT_READ | PROT_WRITE));
  End(call);
}

}  // namespace

void FreeMemoryOf(Context& context) {
  context.limits.clear();
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  for (auto at = memory.blocks.begin(); at != memory.blocks.end();) {
    const auto [address, block] = *at++;
    if (block.context == &context) FreeLocked(memory, address);
  }
}

std::shared_ptr<Taken> TakeMemory(int card, uint64_t bytes, bool managed) {
  if (!SharedCard::Instance(card).Take(bytes, managed)) return nullptr;
  return std::make_shared<Taken>(card, bytes, managed);
}

uint64_t ReserveAddresses(uint64_t bytes) { return NewAddresses(bytes, PROT_READ | PROT_WRITE); }

void SettlePools() {
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  for (const std::weak_ptr<Pool>& pool : memory.pools) {
    if (const auto living = pool.lock()) TrimLocked(*living, living->threshold);
  }
}

}  // namespace flexai::backend::cuda::fake_driver

namespace flexai::fake {

FAKE_AS(CuMemAlloc, AllocateLinear)
FAKE_AS(CuMemAlloc_v2, AllocateLinear)
FAKE_AS(CuMemAllocManaged, AllocateLinear)
FAKE_AS(CuMemAllocPitch, AllocatePitched)
FAKE_AS(CuMemAllocPitch_v2, AllocatePitched)
FAKE_AS(CuMemFree, FreeLinear)
FAKE_AS(CuMemFree_v2, FreeLinear)
FAKE_AS(CuMemFreeAsync, FreeLinear)
FAKE_AS(CuMemFreeAsync_ptsz, FreeLinear)
FAKE_AS(CuMemAllocAsync, AllocateInOrder)
FAKE_AS(CuMemAllocAsync_ptsz, AllocateInOrder)
FAKE_AS(CuMemAllocFromPoolAsync, AllocateInOrder)
FAKE_AS(CuMemAllocFromPoolAsync_ptsz, AllocateInOrder)
FAKE_AS(CuArrayCreate, MakeArray2D)
FAKE_AS(CuArrayCreate_v2, MakeArray2D)
FAKE_AS(CuArray3DCreate, MakeArray3D)
FAKE_AS(CuArray3DCreate_v2, MakeArray3D)
FAKE_AS(CuMemAllocHost, HostMemory)
FAKE_AS(CuMemAllocHost_v2, HostMemory)
FAKE_AS(CuMemHostAlloc, HostMemory)
FAKE(CuMemFreeHost) { End(call); }
FAKE(CuMemHostRegister) { End(call); }
FAKE(CuMemHostRegister_v2) { End(call); }
FAKE(CuMemHostGetDevicePointer) { End(call, cu::CUDA_ERROR_NOT_SUPPORTED); }
FAKE(CuMemHostGetDevicePointer_v2) {
  *call.pdptr = reinterpret_cast<uint64_t>(call.p);
  End(call);
}

FAKE(CuMipmappedArrayCreate) {
  const auto& d = *call.pMipmappedArrayDesc;
  uint64_t bytes = 0;
  for (unsigned level = 0; level < call.numMipmapLevels; ++level) {
    bytes += LayerBytes(d.Width >> level, d.Height >> level, d.Depth, d.NumChannels);
  }
  MakeArray(call, bytes, d.Flags);
}
FAKE(CuArrayDestroy) { RemoveObject(call, call.hArray); }
FAKE(CuMipmappedArrayDestroy) { RemoveObject(call, call.hMipmappedArray); }
FAKE(CuArrayGetMemoryRequirements) { TellArray(call, call.array); }
FAKE(CuMipmappedArrayGetMemoryRequirements) { TellArray(call, call.mipmap); }

// What other processes open is as large, and holds something else: addresses are all there is of
// it.
FAKE(CuIpcGetMemHandle) {
  const uint64_t bytes = BytesAt(call.dptr);
  memcpy(call.pHandle, &bytes, sizeof(bytes));
  End(call, bytes > 0 ? kOk : cu::CUDA_ERROR_INVALID_VALUE);
}
FAKE_AS(CuIpcOpenMemHandle, OpenShared)
FAKE_AS(CuIpcOpenMemHandle_v2, OpenShared)
FAKE(CuIpcCloseMemHandle) { End(call, Free(call.dptr)); }

FAKE(CuImportExternalMemory) {
  uint64_t bytes = 0;
  memcpy(&bytes, reinterpret_cast<const char*>(call.memHandleDesc) + 24, sizeof(bytes));
  auto memory = Make<Array>(call.extMem_out);
  if (!(memory->taken = TakeMemory(CurrentCard(), RoundUp(bytes, kBlock)))) {
    Remove(*call.extMem_out);
    return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  // A file descriptor is the driver's from now on.
  constexpr uint32_t kDescriptor = 1;
  uint32_t words[3];
  memcpy(words, call.memHandleDesc, sizeof(words));
  if (words[0] == kDescriptor) close(static_cast<int>(words[2]));
  End(call);
}
FAKE(CuDestroyExternalMemory) { RemoveObject(call, call.extMem); }

FAKE(CuMemPoolCreate) {
  const Location location = LocationIn(call.poolProps);
  const bool on_host = IsOnHost(location);
  if (!on_host && location.type != kOnDevice) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  OnCard(call, on_host ? 0 : location.id, [&](int card) {
    const auto pool = Make<Pool>(call.pool, card, on_host);
    Memory& memory = TheMemory();
    std::lock_guard<std::mutex> lock(memory.mu);
    memory.pools.push_back(pool);
    End(call);
  });
}
constexpr uint32_t kStack = 0, kPrintf = 1, kHeap = 2, kPending = 4;
// Of launches by kernels that wait. As measured on an H200, where a kernel launches others.
constexpr uint64_t kFirstPending = 2048, kOfPending = 9384;
FAKE(CuCtxGetLimit) {
  Context* const context = Current();
  if (!context) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  *call.pvalue = call.limit == kStack  ? context->room
                 : call.limit == kHeap ? context->heap_bytes
                 : call.limit == kPending && !context->limits.contains(kPending)
                     ? kFirstPending
                     : context->limits[call.limit].first;
  End(call);
}
// What is printed lies on the host. Of the other limits it is only supposed that they take what
// they say.
FAKE(CuCtxSetLimit) {
  Context* const context = Current();
  if (!context) return End(call, cu::CUDA_ERROR_INVALID_CONTEXT);
  if (call.limit == kStack) {
    return End(call, SetRoom(*context, call.value) ? kOk : cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  if (call.limit == kHeap) {
    if (!context->heap) context->heap_bytes = call.value;
    return End(call, context->heap ? cu::CUDA_ERROR_INVALID_VALUE : kOk);
  }
  const uint64_t bytes = call.limit == kPrintf        ? 0
                         : call.limit != kPending     ? call.value
                         : call.value > kFirstPending ? (call.value - kFirstPending) * kOfPending
                                                      : 0;
  auto& [value, taken] = context->limits[call.limit];
  taken.reset();
  if (bytes > kBlock && !(taken = TakeMemory(context->card, RoundUp(bytes, kBlock)))) {
    return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  }
  value = call.value;
  End(call);
}
FAKE(CuMemPoolDestroy) { RemoveObject(call, call.pool); }
FAKE(CuDeviceGetMemPool) {
  OnCard(call, call.dev, [&](int card) {
    *call.pool = HandleOf(CurrentPool(card));
    End(call);
  });
}
FAKE(CuDeviceGetDefaultMemPool) {
  OnCard(call, call.dev, [&](int card) {
    *call.pool_out = HandleOf(DefaultPool(card));
    End(call);
  });
}
FAKE(CuDeviceSetMemPool) {
  OnCard(call, call.dev, [&](int card) {
    const auto pool = Find<Pool>(call.pool);
    if (!pool) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
    Memory& memory = TheMemory();
    std::lock_guard<std::mutex> lock(memory.mu);
    DefaultPoolLocked(memory, card);
    memory.current_pools[static_cast<size_t>(card)] = pool;
    End(call);
  });
}
FAKE(CuMemPoolTrimTo) {
  const auto pool = Find<Pool>(call.pool);
  if (!pool) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  std::lock_guard<std::mutex> lock(TheMemory().mu);
  TrimLocked(*pool, call.minBytesToKeep);
  End(call);
}
FAKE(CuMemPoolSetAttribute) {
  const auto pool = Find<Pool>(call.pool);
  if (!pool) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  if (call.attr == 4) pool->threshold = *static_cast<uint64_t*>(call.value);
  End(call);
}
FAKE(CuMemPoolGetAttribute) {
  const auto pool = Find<Pool>(call.pool);
  if (!pool) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  std::lock_guard<std::mutex> lock(TheMemory().mu);
  const uint64_t values[] = {pool->threshold, pool->reserved, pool->reserved, pool->used,
                             pool->used};
  if (call.attr >= 4 && call.attr < 9) *static_cast<uint64_t*>(call.value) = values[call.attr - 4];
  End(call);
}
FAKE(CuPointerGetAttribute) {
  Memory& memory = TheMemory();
  std::lock_guard<std::mutex> lock(memory.mu);
  const bool on_card = memory.blocks.count(call.ptr) != 0;
  if (call.attribute == 2) *static_cast<unsigned*>(call.data) = on_card ? 2 : 1;  // memory type
  End(call, on_card || call.attribute != 2 ? kOk : cu::CUDA_ERROR_INVALID_VALUE);
}

}  // namespace flexai::fake
