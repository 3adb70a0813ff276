// The fake driver's physical allocations: handles, mappings, and the descriptors by which they go
// from one process or handle to another. A file in memory stands behind each.
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flexai/backend/cuda/fake_bodies.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

struct Physical : Object {
  uint64_t bytes = 0;
  int fd = -1;
  std::shared_ptr<Taken> taken;
  uint64_t references = 1;
  ~Physical() override { close(fd); }
};

struct Mappings {
  std::mutex mu;  // guards what follows
  std::map<uint64_t, std::pair<uint64_t, std::shared_ptr<Physical>>> at;
  std::map<ino_t, std::weak_ptr<Physical>> behind;  // by the file
};
Mappings& TheMappings() {
  static Mappings* const mappings = new Mappings;
  return *mappings;
}

ino_t FileOf(int fd) {
  struct stat about = {};
  return fstat(fd, &about) == 0 ? about.st_ino : 0;
}
void Remember(const std::shared_ptr<Physical>& physical) {
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  std::erase_if(all.behind, [](const auto& one) { return one.second.expired(); });
  all.behind[FileOf(physical->fd)] = physical;
}
struct Multicast : Object {
  std::vector<std::shared_ptr<Object>> bound;
};

// CUarrayMapInfo, as far as it matters here.
struct MapInfo {
  uint32_t resource_type, padding;
  const void* array;
  uint32_t subresource[10];
  uint32_t operation, handle_type;
  const void* handle;
  uint32_t rest[6];
};
static_assert(sizeof(MapInfo) == sizeof(cu::CUarrayMapInfo_v1));

// Of all of an array, whichever part is unmapped.
template <class C>
void MapInArrays(C& call) {
  const auto* list = reinterpret_cast<const MapInfo*>(call.mapInfoList);
  for (unsigned i = 0; i < call.count; ++i) {
    const auto array = Find<Array>(list[i].array);
    if (!array) return End(call, cu::CUDA_ERROR_INVALID_HANDLE);
    const auto physical = Find<Physical>(list[i].handle);
    if (list[i].operation != 1) {
      array->mapped.clear();
    } else if (physical) {
      array->mapped.push_back(physical);
    } else {
      return End(call, cu::CUDA_ERROR_INVALID_VALUE);
    }
  }
  End(call);
}

template <class C>
void BindPhysical(C& call, const std::shared_ptr<Object>& physical) {
  const auto object = Find<Multicast>(reinterpret_cast<void*>(call.mcHandle));
  if (!object || !physical) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  object->bound.push_back(physical);
  End(call);
}
template <class C>
void BindHandle(C& call) {
  BindPhysical(call, Find<Physical>(reinterpret_cast<void*>(call.memHandle)));
}
template <class C>
void BindAddress(C& call) {
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  const auto found = all.at.find(call.memptr);
  BindPhysical(call, found == all.at.end() ? nullptr : found->second.second);
}

// Null where the descriptor is of another process: no test shares memory so.
std::shared_ptr<Physical> Behind(int fd) {
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  const auto found = all.behind.find(FileOf(fd));
  return found == all.behind.end() ? nullptr : found->second.lock();
}

}  // namespace
}  // namespace flexai::backend::cuda::fake_driver

namespace flexai::fake {

FAKE(CuMemGetAllocationGranularity) {
  *call.granularity = kBlock;
  End(call);
}
FAKE(CuMemAddressReserve) {
  *call.ptr = NewAddresses(call.size, PROT_NONE);
  End(call, *call.ptr ? kOk : cu::CUDA_ERROR_OUT_OF_MEMORY);
}
FAKE(CuMemAddressFree) {
  munmap(reinterpret_cast<void*>(call.ptr), call.size);
  End(call);
}
FAKE(CuMemCreate) {
  if (call.size == 0 || call.size % kBlock != 0) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const Location location = LocationIn(call.prop);
  const bool on_device = location.type == kOnDevice;
  if (!on_device && !IsOnHost(location)) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const int card = on_device ? CardOf(location.id) : 0;
  if (card < 0) return End(call, cu::CUDA_ERROR_INVALID_DEVICE);
  auto physical = std::make_shared<Physical>();
  physical->bytes = call.size;
  physical->fd = memfd_create("flexai-fake", MFD_CLOEXEC);
  const bool fits = ftruncate(physical->fd, static_cast<off_t>(call.size)) == 0 &&
                    (!on_device || (physical->taken = TakeMemory(card, call.size)));
  if (!fits) return End(call, cu::CUDA_ERROR_OUT_OF_MEMORY);
  Register(physical);
  Remember(physical);
  *call.handle = reinterpret_cast<uint64_t>(static_cast<Object*>(physical.get()));
  End(call);
}
FAKE(CuMemExportToShareableHandle) {
  const auto physical = Find<Physical>(reinterpret_cast<void*>(call.handle));
  if (!physical) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const int fd = dup(physical->fd);
  memcpy(call.shareableHandle, &fd, sizeof(fd));
  End(call, fd < 0 ? cu::CUDA_ERROR_OUT_OF_MEMORY : kOk);
}
// A handle of its own, which keeps the memory alive.
FAKE(CuMemImportFromShareableHandle) {
  const auto fd = static_cast<int>(reinterpret_cast<intptr_t>(call.osHandle));
  const auto first = Behind(fd);
  if (!first) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const auto physical = Make<Physical>(call.handle);
  physical->bytes = first->bytes;
  physical->fd = dup(fd);
  physical->taken = first->taken;
  Remember(physical);
  End(call);
}
FAKE_BOTH(CuMemMapArrayAsync, _ptsz, MapInArrays)
FAKE(CuMulticastCreate) {
  Make<Multicast>(call.mcHandle);
  End(call);
}
FAKE_BOTH(CuMulticastBindMem, _v2, BindHandle)
FAKE_BOTH(CuMulticastBindAddr, _v2, BindAddress)
FAKE(CuMemRelease) {
  if (Find<Multicast>(reinterpret_cast<void*>(call.handle))) {
    Remove(reinterpret_cast<void*>(call.handle));
    return End(call);
  }
  const auto physical = Find<Physical>(reinterpret_cast<void*>(call.handle));
  if (!physical) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  if (--physical->references == 0) Remove(static_cast<Object*>(physical.get()));
  End(call);
}
FAKE(CuMemMap) {
  const auto physical = Find<Physical>(reinterpret_cast<void*>(call.handle));
  if (!physical) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  if (mmap(reinterpret_cast<void*>(call.ptr), call.size, PROT_READ | PROT_WRITE,
           MAP_SHARED | MAP_FIXED, physical->fd, static_cast<off_t>(call.offset)) == MAP_FAILED) {
    return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  }
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  all.at[call.ptr] = {call.size, physical};
  End(call);
}
FAKE(CuMemUnmap) {
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  auto at = all.at.lower_bound(call.ptr);
  while (at != all.at.end() && at->first < call.ptr + call.size) {
    (void)mmap(reinterpret_cast<void*>(at->first), at->second.first, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    at = all.at.erase(at);
  }
  End(call);
}
FAKE(CuMemRetainAllocationHandle) {
  Mappings& all = TheMappings();
  std::lock_guard<std::mutex> lock(all.mu);
  const auto found = all.at.find(reinterpret_cast<uint64_t>(call.addr));
  if (found == all.at.end()) return End(call, cu::CUDA_ERROR_INVALID_VALUE);
  const std::shared_ptr<Physical>& physical = found->second.second;
  if (!FindAny(static_cast<Object*>(physical.get()))) {
    physical->references = 0;
    Register(physical);
  }
  ++physical->references;
  *call.handle = reinterpret_cast<uint64_t>(static_cast<Object*>(physical.get()));
  End(call);
}

}  // namespace flexai::fake
