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
#include <vector>

#include "cuda/real.h"
#include "tests/hardware/held.h"

namespace cu = flexai::api::cuda;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr cu::CUlimit kStackSize = 0;
constexpr int kNodes = 20000, kMost = 100000;
constexpr char kCode[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry k(.param .u64 p) {\n"
    ".local .align 8 .b8 own[8192];\n.reg .b64 at, to;\n.reg .b32 i;\n.reg .pred none;\n"
    "ld.param.u64 to, [p];\nmov.u64 at, own;\nadd.u64 at, at, to;\nmov.u32 i, %tid.x;\n"
    "st.local.u32 [at], i;\nld.local.u32 i, [own];\nsetp.eq.u64 none, to, 0;\n@none bra done;\n"
    "st.global.u32 [to], i;\ndone:\nret;\n}\n";

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
  if (!Ok(g_cuda.cuModuleLoadData(&module, kCode)) ||
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

}  // namespace

// card_unasked DRIVER NVML: the library that is measured (a name, so that a slice may stand in
// front), the real management library.
// card_unasked DRIVER NVML PID: prints what that process holds, in bytes.
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
  if (argc == 4) {
    printf("%llu\n", static_cast<unsigned long long>(g_held.Bytes(atoi(argv[3]))));
    return 0;
  }
  if (!Ok(g_cuda.cuDevicePrimaryCtxRetain(&context, 0)) || !Ok(g_cuda.cuCtxSetCurrent(context))) {
    return 3;
  }
  return Measure();
}
