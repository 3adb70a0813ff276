// Room for the threads of kernels, which a context has for as many as the card runs at once, and
// the heap from which kernels allocate: what the driver takes for them, and when.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <functional>
#include <string>

#include "cuda/real.h"

namespace flexai::hardware {

namespace cu = flexai::api::cuda;

class Rooms {
 public:
  explicit Rooms(const cu::Real& cuda) : cuda_(cuda) {}

  /// So much more for each thread comes to `bytes` or a little more, in the driver's steps.
  uint64_t ForEach(uint64_t bytes) const {
    int processors = 0, threads = 0;
    cuda_.cuDeviceGetAttribute(&processors, 16, 0);
    cuda_.cuDeviceGetAttribute(&threads, 39, 0);
    const uint64_t step = static_cast<uint64_t>(processors) * static_cast<uint64_t>(threads) * 16;
    return (bytes + step - 1) / step * 16;
  }
  /// That each has now.
  uint64_t Room() const {
    size_t room = 0;
    cuda_.cuCtxGetLimit(&room, kStackSize);
    return room;
  }
  bool SetMore(uint64_t more) const {
    return cuda_.cuCtxSetLimit(kStackSize, Room() + more) == cu::CUDA_SUCCESS;
  }
  void GiveBack(uint64_t more) const { cuda_.cuCtxSetLimit(kStackSize, Room() - more); }
  /// Code of a kernel k whose threads need `each`.
  static std::string CodeNeeding(uint64_t each) {
    return Code("{\n.local .align 8 .b8 own[" + std::to_string(each) +
                "];\n.reg .b64 at, to;\n.reg .b32 i;\n.reg .pred none;\nld.param.u64 to, [p];\n"
                "mov.u64 at, own;\nadd.u64 at, at, to;\nmov.u32 i, %tid.x;\nst.local.u32 [at], i;\n"
                "ld.local.u32 i, [own];\nsetp.eq.u64 none, to, 0;\n@none bra done;\n"
                "st.global.u32 [to], i;\ndone:\nret;\n}\n");
  }
  cu::CUresult LaunchNeeding(uint64_t each) const { return Launch(CodeNeeding(each)); }
  /// One that may allocate.
  cu::CUresult LaunchAllocating() const {
    return Launch(
        Code("{\n.reg .b64 at, to;\n.reg .pred none;\nld.param.u64 to, [p];\n{\n.param .b64 size;\n"
             ".param .b64 made;\nst.param.b64 [size], 1024;\ncall.uni (made), malloc, (size);\n"
             "ld.param.b64 at, [made];\n}\nsetp.eq.u64 none, to, 0;\n@none bra done;\n"
             "st.global.u64 [to], at;\ndone:\nret;\n}\n",
             ".extern .func (.param .b64 made) malloc (.param .b64 size);\n"));
  }

  /// Prints how `held` grows, step by step; returns 0.
  int Show(const std::function<uint64_t()>& held) const {
    uint64_t before = held();
    const auto tell = [&](const char* what, uint64_t size, cu::CUresult code) {
      const uint64_t now = held();
      printf("%s %llu: error %d, %+.0f MiB; each thread has %llu\n", what,
             static_cast<unsigned long long>(size), static_cast<int>(code),
             (static_cast<double>(now) - static_cast<double>(before)) / (1 << 20),
             static_cast<unsigned long long>(Room()));
      fflush(stdout);
      before = now;
    };
    for (const uint64_t each : {1024, 1600, 2048, 5000, 9000, 14000, 65536}) {
      tell("a kernel's threads need", each, LaunchNeeding(each));
    }
    for (const uint64_t each : {1024, 16384}) {
      tell("cuCtxSetLimit, stack", each, cuda_.cuCtxSetLimit(kStackSize, each));
    }
    tell("cuCtxSetLimit, stack", 1024, cuda_.cuCtxSetLimit(kStackSize, 1024));
    constexpr uint64_t kHeap = uint64_t{1} << 30;
    tell("cuCtxSetLimit, heap", kHeap, cuda_.cuCtxSetLimit(kHeapSize, kHeap));
    tell("a kernel allocates", 1024, LaunchAllocating());
    tell("cuCtxSetLimit, heap", 2 * kHeap, cuda_.cuCtxSetLimit(kHeapSize, 2 * kHeap));
    return 0;
  }

 private:
  static constexpr cu::CUlimit kStackSize = 0, kHeapSize = 2;

  static std::string Code(const std::string& body, const std::string& before = "") {
    return ".version 7.0\n.target sm_70\n.address_size 64\n" + before +
           ".visible .entry k(.param .u64 p) " + body;
  }

  cu::CUresult Launch(const std::string& code) const {
    cu::CUmodule module = nullptr;
    cu::CUfunction kernel = nullptr;
    uint64_t nowhere = 0;
    void* parameters[] = {&nowhere};
    cu::CUresult result = cuda_.cuModuleLoadData(&module, code.c_str());
    if (result != cu::CUDA_SUCCESS) return result;
    result = cuda_.cuModuleGetFunction(&kernel, module, "k");
    if (result == cu::CUDA_SUCCESS) {
      result = cuda_.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr);
    }
    if (result == cu::CUDA_SUCCESS) result = cuda_.cuCtxSynchronize();
    cuda_.cuModuleUnload(module);
    return result;
  }

  const cu::Real& cuda_;
};

}  // namespace flexai::hardware
