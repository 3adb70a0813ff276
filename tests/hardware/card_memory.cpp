// How much memory each way to get it gives inside a slice, and what the driver says the process
// holds then. Runs on a real card and on the fake one; memory.py starts it. One line per
// row:
//   row <name> given=<bytes> held=<bytes by the driver> base=<before> free=<cuMemGetInfo at the
//   end>
//   books <name> says=<bytes by the slice> held=<bytes by the driver>, when all is given back
//   without <name>: error <code>, where the driver does not offer it
// and, after random rounds, the same rows again with the name "again:<name>".
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cuda/real.h"
#include "tests/hardware/held.h"
#include "tests/hardware/lender.h"
#include "tests/hardware/rooms.h"

namespace cu = flexai::api::cuda;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
cu::Real g_cuda;
flexai::hardware::Held g_held;
flexai::hardware::Lender g_lender;
flexai::hardware::Rooms g_rooms(g_cuda);

// Of this process, and of the one that it borrows from.
uint64_t HeldBytes() { return g_held.Bytes() + g_lender.Bytes(); }

/// One way to get memory.
struct Way {
  std::string name;
  std::function<bool(uint64_t bytes, uint64_t* object)> take;
  std::function<void(uint64_t object)> give;
  std::function<void()> settle = [] {};
};

bool Ok(cu::CUresult code) { return code == cu::CUDA_SUCCESS; }

// With which code the driver last did not do what a way needs of it.
int g_not_offered = 0;

// Until the daemon has compared the books with the driver's, or a slice is not there.
void AwaitBooks() {
  size_t free = 0, total = 0;
  for (int i = 0; i < 300 && (total == 0 || free + HeldBytes() != total); ++i) {
    usleep(10 * 1000);  // poll
    g_cuda.cuMemGetInfo_v2(&free, &total);
  }
}

template <class H>
uint64_t Word(H handle) {
  return reinterpret_cast<uint64_t>(handle);
}

Way Linear() {
  return {"cuMemAlloc",
          [](uint64_t bytes, uint64_t* o) { return Ok(g_cuda.cuMemAlloc_v2(o, bytes)); },
          [](uint64_t o) { g_cuda.cuMemFree_v2(o); }};
}
Way Pieces() {
  return {"cuMemAlloc 700 KiB",
          [](uint64_t bytes, uint64_t* o) {
            auto* all = new std::vector<uint64_t>;
            for (uint64_t got = 0; got < bytes; got += 700 * 1024) {
              cu::CUdeviceptr_v2 piece;
              if (!Ok(g_cuda.cuMemAlloc_v2(&piece, 700 * 1024))) {
                for (const uint64_t p : *all) g_cuda.cuMemFree_v2(p);
                delete all;
                return false;
              }
              all->push_back(piece);
            }
            *o = Word(all);
            return true;
          },
          [](uint64_t o) {
            auto* all = reinterpret_cast<std::vector<uint64_t>*>(o);
            for (const uint64_t p : *all) g_cuda.cuMemFree_v2(p);
            delete all;
          }};
}
Way Pitched() {
  return {"cuMemAllocPitch",
          [](uint64_t bytes, uint64_t* o) {
            size_t pitch;
            return Ok(g_cuda.cuMemAllocPitch_v2(o, &pitch, kMiB, bytes / kMiB, 16));
          },
          [](uint64_t o) { g_cuda.cuMemFree_v2(o); }};
}
Way Managed() {
  return {"cuMemAllocManaged",
          [](uint64_t bytes, uint64_t* o) {
            if (!Ok(g_cuda.cuMemAllocManaged(o, bytes, 1))) return false;
            g_cuda.cuMemsetD8_v2(*o, 1, bytes);
            g_cuda.cuCtxSynchronize();
            return true;
          },
          [](uint64_t o) { g_cuda.cuMemFree_v2(o); }};
}
Way Async() {
  return {"cuMemAllocAsync",
          [](uint64_t bytes, uint64_t* o) {
            const bool ok = Ok(g_cuda.cuMemAllocAsync(o, bytes, nullptr));
            g_cuda.cuStreamSynchronize(nullptr);
            return ok;
          },
          [](uint64_t o) { g_cuda.cuMemFreeAsync(o, nullptr); },
          [] {
            g_cuda.cuStreamSynchronize(nullptr);
            cu::CUmemoryPool pool;
            g_cuda.cuDeviceGetDefaultMemPool(&pool, 0);
            g_cuda.cuMemPoolTrimTo(pool, 0);
          }};
}
std::vector<uint64_t> CardProperties(uint32_t handle_type = 0) {
  std::vector<uint64_t> words(11);
  const uint32_t prop[] = {1, handle_type, 1, 0};  // pinned, as told, on a card, the first
  memcpy(words.data(), prop, sizeof(prop));
  return words;
}
bool Create(uint64_t bytes, uint64_t* handle, uint32_t handle_type = 0) {
  const auto prop = CardProperties(handle_type);
  return Ok(g_cuda.cuMemCreate(
      handle, bytes, reinterpret_cast<const cu::CUmemAllocationProp_v1*>(prop.data()), 0));
}
constexpr uint32_t kDescriptor = 1;  // what a handle is exported as: a file descriptor
Way Physical() {
  return {"cuMemCreate", [](uint64_t bytes, uint64_t* o) { return Create(bytes, o); },
          [](uint64_t o) { g_cuda.cuMemRelease(o); }};
}
// The handle is released while the mapping lives: expandable segments do that.
Way Mapped() {
  return {"cuMemMap, handle released",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUmemGenericAllocationHandle_v1 handle;
            cu::CUdeviceptr_v2 at;
            if (!Ok(g_cuda.cuMemAddressReserve(&at, bytes, 0, 0, 0))) return false;
            if (!Create(bytes, &handle)) {
              g_cuda.cuMemAddressFree(at, bytes);
              return false;
            }
            g_cuda.cuMemMap(at, bytes, 0, handle, 0);
            g_cuda.cuMemRelease(handle);
            *o = Word(new std::pair<uint64_t, uint64_t>(at, bytes));
            return true;
          },
          [](uint64_t o) {
            auto* range = reinterpret_cast<std::pair<uint64_t, uint64_t>*>(o);
            g_cuda.cuMemUnmap(range->first, range->second);
            g_cuda.cuMemAddressFree(range->first, range->second);
            delete range;
          }};
}
// What came through a file descriptor stays when the first handle goes.
Way Imported() {
  return {"cuMemImportFromShareableHandle",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUmemGenericAllocationHandle_v1 handle;
            if (!Create(bytes, &handle, kDescriptor)) return false;
            int fd = -1;
            const bool ok =
                Ok(g_cuda.cuMemExportToShareableHandle(&fd, handle, kDescriptor, 0)) &&
                Ok(g_cuda.cuMemImportFromShareableHandle(
                    o, reinterpret_cast<void*>(static_cast<intptr_t>(fd)), kDescriptor));
            if (fd >= 0) close(fd);
            g_cuda.cuMemRelease(handle);
            return ok;
          },
          [](uint64_t o) { g_cuda.cuMemRelease(o); }};
}
// Memory of another process of the slice; what is opened of it is no more memory.
Way Borrowed() {
  struct Opened {
    flexai::hardware::Lender::Loan loan;
    cu::CUdeviceptr_v2 at;
  };
  return {"cuIpcOpenMemHandle",
          [](uint64_t bytes, uint64_t* o) {
            Opened opened = {};
            if (!g_lender.Take(bytes, &opened.loan)) return false;
            const cu::CUresult code = g_cuda.cuIpcOpenMemHandle_v2(&opened.at, opened.loan.name, 1);
            if (!Ok(code)) {
              fprintf(stderr, "cuIpcOpenMemHandle: error %d\n", static_cast<int>(code));
              g_lender.Give(opened.loan);
              return false;
            }
            *o = Word(new Opened(opened));
            return true;
          },
          [](uint64_t o) {
            auto* opened = reinterpret_cast<Opened*>(o);
            g_cuda.cuIpcCloseMemHandle(opened->at);
            g_lender.Give(opened->loan);
            delete opened;
          },
          [] {
            g_lender.End();
            AwaitBooks();
          }};
}
// As if it came from a library of another kind. Not every driver takes its own memory for that.
Way External() {
  return {"cuImportExternalMemory",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUmemGenericAllocationHandle_v1 handle;
            if (!Create(bytes, &handle, kDescriptor)) return false;
            // Its type, the descriptor, nothing, its size.
            uint64_t description[13] = {kDescriptor, 0, 0, bytes};
            int fd = -1;
            cu::CUresult code = g_cuda.cuMemExportToShareableHandle(&fd, handle, kDescriptor, 0);
            if (Ok(code)) {
              memcpy(&description[1], &fd, sizeof(fd));
              code = g_cuda.cuImportExternalMemory(
                  reinterpret_cast<cu::CUexternalMemory*>(o),
                  reinterpret_cast<const cu::CUDA_EXTERNAL_MEMORY_HANDLE_DESC_v1*>(description));
              // It is the driver's from then on.
              if (!Ok(code)) close(fd);
            }
            g_cuda.cuMemRelease(handle);
            if (!Ok(code)) g_not_offered = static_cast<int>(code);
            return Ok(code);
          },
          [](uint64_t o) {
            g_cuda.cuDestroyExternalMemory(reinterpret_cast<cu::CUexternalMemory>(o));
          }};
}
cu::CUmemoryPool OwnPool() {
  static cu::CUmemoryPool pool = nullptr;
  const auto prop = CardProperties();
  if (!pool) {
    g_cuda.cuMemPoolCreate(&pool, reinterpret_cast<const cu::CUmemPoolProps_v1*>(prop.data()));
  }
  return pool;
}
Way FromPool() {
  return {"cuMemAllocFromPoolAsync",
          [](uint64_t bytes, uint64_t* o) {
            const bool ok = Ok(g_cuda.cuMemAllocFromPoolAsync(o, bytes, OwnPool(), nullptr));
            g_cuda.cuStreamSynchronize(nullptr);
            return ok;
          },
          [](uint64_t o) { g_cuda.cuMemFreeAsync(o, nullptr); },
          [] {
            g_cuda.cuStreamSynchronize(nullptr);
            g_cuda.cuMemPoolTrimTo(OwnPool(), 0);
          }};
}
// Code with data of its own.
Way Module() {
  return {
      "cuModuleLoadData",
      [](uint64_t bytes, uint64_t* o) {
        const std::string code =
            ".version 7.0\n.target sm_70\n.address_size 64\n.visible .global .align 8 .b8 data[" +
            std::to_string(bytes) + "];\n";
        cu::CUdeviceptr_v2 at = 0;
        cu::CUmodule module = nullptr;
        if (!Ok(g_cuda.cuModuleLoadData(&module, code.c_str()))) return false;
        *o = Word(module);
        // Drivers may put off what nobody uses yet.
        if (Ok(g_cuda.cuModuleGetGlobal_v2(&at, nullptr, module, "data"))) return true;
        g_cuda.cuModuleUnload(module);
        return false;
      },
      [](uint64_t o) { g_cuda.cuModuleUnload(reinterpret_cast<cu::CUmodule>(o)); }};
}
Way Array() {
  return {"cuArrayCreate",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUDA_ARRAY_DESCRIPTOR_v2 d = {16384, bytes / 65536, 0x20, 1};
            return Ok(g_cuda.cuArrayCreate_v2(reinterpret_cast<cu::CUarray*>(o), &d));
          },
          [](uint64_t o) { g_cuda.cuArrayDestroy(reinterpret_cast<cu::CUarray>(o)); }};
}
Way Mipmap() {
  return {
      "cuMipmappedArrayCreate",
      [](uint64_t bytes, uint64_t* o) {
        cu::CUDA_ARRAY3D_DESCRIPTOR_v2 d = {16384, bytes / 65536, 0, 0x20, 1, 0};
        return Ok(g_cuda.cuMipmappedArrayCreate(reinterpret_cast<cu::CUmipmappedArray*>(o), &d, 2));
      },
      [](uint64_t o) {
        g_cuda.cuMipmappedArrayDestroy(reinterpret_cast<cu::CUmipmappedArray>(o));
      }};
}
struct Launched {
  cu::CUgraphExec exec;
  cu::CUdeviceptr_v2 address;
};
bool LaunchAndKeep(cu::CUgraph graph, cu::CUdeviceptr_v2 address, uint64_t* o) {
  cu::CUgraphExec exec;
  if (!Ok(g_cuda.cuGraphInstantiateWithFlags(&exec, graph, 0))) return false;
  if (Ok(g_cuda.cuGraphLaunch(exec, nullptr)) && Ok(g_cuda.cuStreamSynchronize(nullptr))) {
    *o = Word(new Launched{exec, address});
    return true;
  }
  g_cuda.cuGraphExecDestroy(exec);
  return false;
}
// What a graph allocated outlives it until it is freed by its address.
void FreeLaunched(uint64_t o) {
  auto* launched = reinterpret_cast<Launched*>(o);
  g_cuda.cuMemFree_v2(launched->address);
  g_cuda.cuGraphExecDestroy(launched->exec);
  delete launched;
}
void TrimGraphs() { g_cuda.cuDeviceGraphMemTrim(0); }
Way GraphNode() {
  return {"graph memory node",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUgraph graph;
            g_cuda.cuGraphCreate(&graph, 0);
            cu::CUDA_MEM_ALLOC_NODE_PARAMS_v1 node = {};
            const uint32_t pool[] = {1, 0, 1, 0};  // as for cuMemCreate
            memcpy(&node.poolProps, pool, sizeof(pool));
            node.bytesize = bytes;
            cu::CUgraphNode made;
            return Ok(g_cuda.cuGraphAddMemAllocNode(&made, graph, nullptr, 0, &node)) &&
                   LaunchAndKeep(graph, node.dptr, o);
          },
          FreeLaunched, TrimGraphs};
}
Way Captured() {
  return {"captured cuMemAllocAsync",
          [](uint64_t bytes, uint64_t* o) {
            cu::CUstream stream;
            cu::CUgraph graph;
            cu::CUdeviceptr_v2 at;
            g_cuda.cuStreamCreate(&stream, 1);
            g_cuda.cuStreamBeginCapture_v2(stream, 2);
            const bool ok = Ok(g_cuda.cuMemAllocAsync(&at, bytes, stream));
            const bool ended = Ok(g_cuda.cuStreamEndCapture(stream, &graph));
            g_cuda.cuStreamDestroy_v2(stream);
            return ok && ended && LaunchAndKeep(graph, at, o);
          },
          FreeLaunched, TrimGraphs};
}

Way Stack() {
  return {"cuCtxSetLimit, stack",
          [](uint64_t bytes, uint64_t* o) { return g_rooms.SetMore(*o = g_rooms.ForEach(bytes)); },
          [](uint64_t o) { g_rooms.GiveBack(o); }};
}
Way LargeKernel() {
  return {"kernel with local memory",
          [](uint64_t bytes, uint64_t* o) {
            return Ok(g_rooms.LaunchNeeding(g_rooms.Room() + (*o = g_rooms.ForEach(bytes))));
          },
          [](uint64_t o) { g_rooms.GiveBack(o); }};
}

// What the slice's books say, beside what the driver holds, after everything was given back.
void PrintBooks(const std::string& name) {
  size_t free = 0, total = 0;
  g_cuda.cuMemGetInfo_v2(&free, &total);
  printf("books %s says=%zu held=%llu\n", name.c_str(), total - free,
         static_cast<unsigned long long>(HeldBytes()));
  fflush(stdout);
}

// Contexts that end with memory in them that nobody freed: how many could be made, one after the
// other.
void Contexts(uint64_t most) {
  cu::CUcontext before = nullptr;
  g_cuda.cuCtxGetCurrent(&before);
  int made = 0;
  // Each keeps the next one's memory from where the last one's was.
  std::vector<cu::CUdeviceptr_v2> between;
  for (; made < 16; ++made) {
    cu::CUcontext context = nullptr;
    cu::CUdeviceptr_v2 at = 0;
    if (!Ok(g_cuda.cuCtxCreate_v2(&context, 0, 0))) break;
    const bool given = Ok(g_cuda.cuMemAlloc_v2(&at, most / 8 / kMiB * kMiB));
    g_cuda.cuCtxDestroy_v2(context);
    g_cuda.cuCtxSetCurrent(before);
    if (!given || !Ok(g_cuda.cuMemAlloc_v2(&at, 2 * kMiB))) break;
    between.push_back(at);
  }
  for (const cu::CUdeviceptr_v2 at : between) g_cuda.cuMemFree_v2(at);
  printf("contexts %d\n", made);
  fflush(stdout);
}

// Takes all there is: big steps first, then smaller ones.
void Fill(const Way& way, const std::string& name, uint64_t most) {
  const uint64_t base = HeldBytes();
  g_not_offered = 0;
  std::vector<uint64_t> objects;
  uint64_t given = 0;
  for (const uint64_t step : {256 * kMiB, 32 * kMiB, 2 * kMiB}) {
    uint64_t object = 0;
    while (given + step <= most && way.take(step, &object)) {
      objects.push_back(object);
      given += step;
    }
  }
  if (objects.empty() && g_not_offered != 0 && g_not_offered != cu::CUDA_ERROR_OUT_OF_MEMORY) {
    printf("without %s: error %d\n", name.c_str(), g_not_offered);
    return;
  }
  size_t free = 0, total = 0;
  g_cuda.cuMemGetInfo_v2(&free, &total);
  printf("row %s given=%llu held=%llu base=%llu free=%zu\n", name.c_str(),
         static_cast<unsigned long long>(given), static_cast<unsigned long long>(HeldBytes()),
         static_cast<unsigned long long>(base), free);
  fflush(stdout);
  for (const uint64_t object : objects) way.give(object);
  way.settle();
  PrintBooks(name);
}

void RandomRounds(const std::vector<Way>& ways, int rounds) {
  std::mt19937 dice(1);
  std::vector<std::pair<const Way*, uint64_t>> held;
  uint64_t peak = 0;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 8; ++i) {
      const Way& way = ways[dice() % ways.size()];
      uint64_t object = 0;
      const uint64_t bytes = (1 + dice() % 128) * 2 * kMiB;
      if (way.take(bytes, &object)) held.emplace_back(&way, object);
    }
    peak = std::max(peak, HeldBytes());
    while (held.size() > 12 || (!held.empty() && dice() % 2)) {
      const size_t at = dice() % held.size();
      held[at].first->give(held[at].second);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  for (const auto& [way, object] : held) way->give(object);
  for (const Way& way : ways) {
    way.settle();
    PrintBooks("rounds, " + way.name);
  }
  printf("rounds %d peak=%llu\n", rounds, static_cast<unsigned long long>(peak));
}

}  // namespace

// card_memory DRIVER NVML MOST_MIB ROUNDS: the library that is measured (a name, so that a slice
// may stand in front), the real management library, how much to ask for.
// card_memory lend DRIVER NVML: what the first one starts (lender.h).
// card_memory rooms DRIVER NVML: what kernels take besides (rooms.h).
int main(int argc, char** argv) {
  const bool lends = argc == 4 && strcmp(argv[1], "lend") == 0;
  const bool looks = argc == 4 && strcmp(argv[1], "rooms") == 0;
  if (argc != 5 && !lends && !looks) return 2;
  char** const libraries = argv + (argc == 4 ? 2 : 1);
  void* cuda = dlopen(libraries[0], RTLD_NOW);
  if (!cuda) {
    fprintf(stderr, "cannot open %s: %s\n", libraries[0], dlerror());
    return 2;
  }
  for (const auto& row : cu::kFunctions) cu::AsTable(g_cuda)[row.index] = dlsym(cuda, row.name);
  cu::CUcontext context;
  if (!Ok(g_cuda.cuInit(0)) || !Ok(g_cuda.cuDevicePrimaryCtxRetain(&context, 0)) ||
      !Ok(g_cuda.cuCtxSetCurrent(context))) {
    fprintf(stderr, "no card\n");
    return 3;
  }
  cu::CUuuid uuid;
  g_cuda.cuDeviceGetUuid_v2(&uuid, 0);
  g_held.Open(libraries[1], uuid.bytes);
  if (lends) {
    flexai::hardware::Lender::Serve(g_cuda, [] { return g_held.Bytes(); });
    return 0;
  }
  if (looks) return g_rooms.Show([] { return g_held.Bytes(); });
  g_lender.Learn(libraries[0], libraries[1]);
  const std::vector<Way> ways = {Linear(),   Pieces(),   Pitched(),    Managed(),  Async(),
                                 FromPool(), Physical(), Mapped(),     Imported(), Array(),
                                 Mipmap(),   Module(),   GraphNode(),  Captured(), Borrowed(),
                                 External(), Stack(),    LargeKernel()};
  const uint64_t most = strtoull(argv[3], nullptr, 10) * kMiB;
  size_t free = 0, total = 0, card = 0;
  AwaitBooks();
  g_cuda.cuMemGetInfo_v2(&free, &total);
  g_cuda.cuDeviceTotalMem_v2(&card, 0);
  printf("start free=%zu total=%zu card=%zu held=%llu\n", free, total, card,
         static_cast<unsigned long long>(HeldBytes()));
  Contexts(most / 2);
  for (const Way& way : ways) Fill(way, way.name, most);
  RandomRounds(ways, atoi(argv[4]));
  for (const Way& way : ways) Fill(way, "again: " + way.name, most);
  return 0;
}
