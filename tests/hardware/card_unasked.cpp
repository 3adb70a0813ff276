// What the driver takes although nobody asks for it, in a slice that is nearly full: room for the
// threads of a graph's kernels, streams, graphs of many nodes. Each until it is refused, with what
// the driver says that the process holds then. Runs on a real card and on the fake one; memory.py
// starts it. One line per row:
//   row <name> made=<how many> code=<of the refusal> held=<bytes by the driver>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "cuda/real.h"
#include "tests/hardware/held.h"
#include "tests/hardware/rooms.h"

namespace cu = flexai::api::cuda;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr cu::CUlimit kStackSize = 0;
constexpr int kNodes = 20000, kMost = 100000;
cu::Real g_cuda;
flexai::hardware::Held g_held;

bool Ok(cu::CUresult code) { return code == cu::CUDA_SUCCESS; }

void Tell(const char* name, int made, cu::CUresult code) {
  printf("row %s made=%d code=%d held=%llu\n", name, made, static_cast<int>(code),
         static_cast<unsigned long long>(g_held.Bytes()));
  fflush(stdout);
}

/// Makes one after the other until the driver, or the slice, will not.
void Until(const char* name, const std::function<cu::CUresult()>& make) {
  cu::CUresult code = cu::CUDA_SUCCESS;
  int made = 0;
  while (made < kMost && Ok(code = make())) ++made;
  Tell(name, made, code);
}

cu::CUgraph Captured(cu::CUstream stream, cu::CUfunction kernel, int launches) {
  uint64_t nowhere = 0;
  void* parameters[] = {&nowhere};
  cu::CUgraph graph = nullptr;
  g_cuda.cuStreamBeginCapture_v2(stream, 2);
  for (int i = 0; i < launches; ++i) {
    g_cuda.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
  }
  g_cuda.cuStreamEndCapture(stream, &graph);
  return graph;
}

void Fill(std::vector<cu::CUdeviceptr_v2>* held) {
  for (const uint64_t piece : {64 * kMiB, 2 * kMiB}) {
    cu::CUdeviceptr_v2 memory = 0;
    while (Ok(g_cuda.cuMemAlloc_v2(&memory, piece))) held->push_back(memory);
  }
}

void GiveBack(std::vector<cu::CUdeviceptr_v2>* held, size_t count) {
  for (; count > 0 && !held->empty(); --count) {
    g_cuda.cuMemFree_v2(held->front());
    held->erase(held->begin());
  }
}

int Measure() {
  cu::CUmodule module = nullptr;
  cu::CUfunction kernel = nullptr;
  cu::CUstream stream = nullptr;
  cu::CUgraphExec exec = nullptr;
  const std::string code = flexai::hardware::Rooms::CodeNeeding(8192);
  if (!Ok(g_cuda.cuModuleLoadData(&module, code.c_str())) ||
      !Ok(g_cuda.cuModuleGetFunction(&kernel, module, "k")) ||
      !Ok(g_cuda.cuStreamCreate(&stream, 1))) {
    return 4;
  }
  // The first has the driver make room, which is given back before all is taken.
  if (!Ok(g_cuda.cuGraphInstantiateWithFlags(&exec, Captured(stream, kernel, 1), 0))) return 4;
  g_cuda.cuCtxSetLimit(kStackSize, 1024);
  std::vector<cu::CUdeviceptr_v2> held;
  Fill(&held);
  Tell("cuMemAlloc, at once", static_cast<int>(held.size()), cu::CUDA_ERROR_OUT_OF_MEMORY);
  Until("graph whose room was given back", [&] { return g_cuda.cuGraphLaunch(exec, stream); });
  GiveBack(&held, 2);
  Until("streams", [] {
    cu::CUstream more = nullptr;
    return g_cuda.cuStreamCreate(&more, 1);
  });
  // With room for its threads: the graphs' own memory is what is missing.
  GiveBack(&held, held.size());
  if (!Ok(g_cuda.cuCtxSetLimit(kStackSize, 8192))) return 4;
  const cu::CUgraph many = Captured(stream, kernel, kNodes);
  Fill(&held);
  GiveBack(&held, 3);
  Until("graphs of 20,000 kernels", [&] {
    cu::CUgraphExec more = nullptr;
    return g_cuda.cuGraphInstantiateWithFlags(&more, many, 0);
  });
  return 0;
}

/// What the driver takes, by itself, for each of these, outside of any slice.
int Show() {
  uint64_t before = g_held.Bytes();
  const auto tell = [&before](const char* what, cu::CUresult code) {
    const uint64_t now = g_held.Bytes();
    printf("%s: error %d, %+.0f MiB\n", what, static_cast<int>(code),
           (static_cast<double>(now) - static_cast<double>(before)) / kMiB);
    fflush(stdout);
    before = now;
  };
  constexpr int kStreams = 1000, kEvents = 200000, kKernels = 100000;
  std::vector<cu::CUstream> streams(kStreams);
  cu::CUresult code = cu::CUDA_SUCCESS;
  for (auto& stream : streams) code = Ok(code) ? g_cuda.cuStreamCreate(&stream, 1) : code;
  tell("1,000 streams", code);
  for (size_t i = 1; i < streams.size(); ++i) g_cuda.cuStreamDestroy_v2(streams[i]);
  tell("all but one destroyed", cu::CUDA_SUCCESS);
  cu::CUevent event = nullptr;
  for (int i = 0; i < kEvents && Ok(code); ++i) code = g_cuda.cuEventCreate(&event, 0);
  tell("200,000 events", code);
  cu::CUmodule module = nullptr;
  cu::CUfunction kernel = nullptr;
  cu::CUgraphExec exec = nullptr;
  code = g_cuda.cuModuleLoadData(&module, flexai::hardware::Rooms::CodeNeeding(8).c_str());
  if (Ok(code)) code = g_cuda.cuModuleGetFunction(&kernel, module, "k");
  tell("a kernel", code);
  if (!Ok(code)) return 4;
  const cu::CUgraph graph = Captured(streams[0], kernel, kKernels);
  for (const char* what : {"a graph of 100,000 kernels made executable", "again"}) {
    tell(what, g_cuda.cuGraphInstantiateWithFlags(&exec, graph, 0));
    g_cuda.cuGraphExecDestroy(exec);
    tell("destroyed", cu::CUDA_SUCCESS);
  }
  return 0;
}

}  // namespace

// card_unasked DRIVER NVML: the library that is measured (a name, so that a slice may stand in
// front), the real management library.
// card_unasked DRIVER NVML PID: prints what that process holds, in bytes.
// card_unasked DRIVER NVML show: what the driver takes by itself, outside of any slice.
int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  void* cuda = dlopen(argv[1], RTLD_NOW);
  if (!cuda) {
    fprintf(stderr, "cannot open %s: %s\n", argv[1], dlerror());
    return 2;
  }
  for (const auto& row : cu::kFunctions) cu::AsTable(g_cuda)[row.index] = dlsym(cuda, row.name);
  cu::CUuuid uuid;
  cu::CUcontext context;
  if (!Ok(g_cuda.cuInit(0)) || !Ok(g_cuda.cuDeviceGetUuid_v2(&uuid, 0))) return 3;
  g_held.Open(argv[2], uuid.bytes);
  const bool shows = argc == 4 && strcmp(argv[3], "show") == 0;
  if (argc == 4 && !shows) {
    printf("%llu\n", static_cast<unsigned long long>(g_held.Bytes(atoi(argv[3]))));
    return 0;
  }
  if (!Ok(g_cuda.cuDevicePrimaryCtxRetain(&context, 0)) || !Ok(g_cuda.cuCtxSetCurrent(context))) {
    return 3;
  }
  return shows ? Show() : Measure();
}
