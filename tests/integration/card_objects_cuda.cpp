// The same through another interface: what the test program does behind libcuda.so.1.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "cuda/real.h"
#include "tests/integration/card_objects.h"

namespace flexai::tests {
namespace {

namespace cu = flexai::api::cuda;

struct Card {
  cu::Real call = {};
  cu::CUcontext context = nullptr;
  cu::CUresult refused = cu::CUDA_SUCCESS;  // the first call's that was

  Card() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) {
      fprintf(stderr, "card_program: %s\n", dlerror());
      exit(2);
    }
    for (const auto& info : cu::kFunctions) {
      cu::AsTable(call)[info.index] = dlsym(library, info.name);
    }
    refused = call.cuInit(0);
    if (refused == cu::CUDA_SUCCESS) refused = call.cuDevicePrimaryCtxRetain(&context, 0);
  }
};

// Made at the first use and never given back, as in many a program.
Card& TheCard() {
  static auto* card = new Card;
  card->call.cuCtxSetCurrent(card->context);
  return *card;
}

Object Failed(cu::CUresult code) { return {nullptr, ObjectKind::kMemory, static_cast<int>(code)}; }

Object Linear(size_t bytes) {
  Card& card = TheCard();
  if (card.refused != cu::CUDA_SUCCESS) return Failed(card.refused);
  cu::CUdeviceptr_v2 at = 0;
  const cu::CUresult code = card.call.cuMemAlloc_v2(&at, bytes);
  return {reinterpret_cast<void*>(at), ObjectKind::kMemory, static_cast<int>(code)};
}

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Work of some milliseconds on the fake card, which takes its threads from whoever launches first.
class Spinner {
 public:
  Spinner() {
    Card& card = TheCard();
    cu::CUmodule module = nullptr;
    card.call.cuModuleLoadData(&module, "flexai_spin");
    card.call.cuModuleGetFunction(&function_, module, "flexai_spin");
    prctl(PR_SET_NAME, "fake-worker", 0, 0, 0);
    Launch();
    prctl(PR_SET_NAME, "card_program", 0, 0, 0);
  }

  /// Whether it came to its end.
  bool Launch() const {
    const cu::Real& call = TheCard().call;
    return call.cuLaunchKernel(function_, 1, 1, 1, 256, 1, 1, 0, nullptr, nullptr, nullptr) ==
               cu::CUDA_SUCCESS &&
           call.cuStreamSynchronize(nullptr) == cu::CUDA_SUCCESS;
  }

 private:
  cu::CUfunction function_ = nullptr;
};

const Spinner& TheSpinner() {
  static const auto* spinner = new Spinner;
  return *spinner;
}

}  // namespace

std::vector<const char*> Rows() { return {"cuMemAlloc_v2"}; }

Object Allocate(const std::string& name, size_t bytes) {
  return name == Rows()[0] ? Linear(bytes) : Failed(cu::CUDA_ERROR_NOT_SUPPORTED);
}

int Release(const Object& object) {
  const auto at = reinterpret_cast<cu::CUdeviceptr_v2>(object.handle);
  return static_cast<int>(TheCard().call.cuMemFree_v2(at));
}

// This interface has neither counted references nor parts and views of memory.
int Retain(const Object&) { return static_cast<int>(cu::CUDA_ERROR_NOT_SUPPORTED); }
size_t SizeOf(const Object&) { return 0; }
Object PartOf(const Object&) { return Failed(cu::CUDA_ERROR_NOT_SUPPORTED); }
Object ViewOf(const Object&) { return Failed(cu::CUDA_ERROR_NOT_SUPPORTED); }
int FreeInQueue(const Object&) { return static_cast<int>(cu::CUDA_ERROR_NOT_SUPPORTED); }

DeviceMemory AskDevice() {
  size_t free = 0, total = 0;
  TheCard().call.cuMemGetInfo_v2(&free, &total);
  return {total, free};
}

Contention Contend(size_t threads, size_t rounds, size_t bytes) {
  std::atomic<size_t> granted{0}, refused{0};
  const auto work = [&] {
    for (size_t i = 0; i < rounds; ++i) {
      const Object made = Linear(bytes);
      ++(made.handle ? granted : refused);
      if (made.handle) Release(made);
    }
  };
  TheCard();
  std::vector<std::thread> all;
  for (size_t i = 0; i < threads; ++i) all.emplace_back(work);
  for (std::thread& each : all) each.join();
  return {granted, refused, 0};
}

void Churn(size_t bytes) {
  const Spinner& spinner = TheSpinner();
  for (;;) {
    const Object made = Linear(bytes);
    if (!made.handle) continue;
    spinner.Launch();
    Release(made);
  }
}

size_t Spin(size_t milliseconds) {
  const Spinner& spinner = TheSpinner();
  size_t done = 0;
  const double end = Now() + 1e-3 * static_cast<double>(milliseconds);
  while (spinner.Launch()) {
    ++done;
    if (Now() >= end) break;
  }
  return done;
}

}  // namespace flexai::tests
