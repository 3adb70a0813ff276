#include "flexai/backend/cuda/thread_memory.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flexai/backend/cuda/holdings.h"
#include "flexai/backend/cuda/reserves.h"
#include "flexai/backend/cuda/sizes.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

constexpr api::CUlimit kStackSize = 0;                    // CU_LIMIT_STACK_SIZE
constexpr api::CUfunction_attribute kLocalSize = 3;       // CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES
constexpr api::CUdevice_attribute kMultiprocessors = 16;  // CU_DEVICE_ATTRIBUTE_...COUNT
constexpr api::CUdevice_attribute kThreadsOfOne = 39;     // ..._MAX_THREADS_PER_MULTIPROCESSOR
constexpr uint64_t kThreadStep = 16;  // what each thread has is a multiple of this

// What a thread of each kernel needs. A handle may name another kernel later; who gets that by a
// call that is heard is told anew. Of the functions of a library's kernels, which programs get
// again and again, the driver is asked when one is launched, unless the kernel is known to need
// much.
struct Need {
  uint64_t bytes;
  uint64_t code;    // the module or library; 0: not known
  bool in_library;  // the handle is of a library's kernel, not of a function
};
struct Kernels {
  std::mutex mu;
  std::unordered_map<uint64_t, Need> needs;
};
Kernels& TheKernels() {
  static auto* const kernels = new Kernels;
  return *kernels;
}

// Nothing where the driver does not tell.
std::optional<uint64_t> Asked(api::CUfunction function) {
  int bytes = 0;
  const bool told = Real().cuFuncGetAttribute &&
                    Real().cuFuncGetAttribute(&bytes, kLocalSize, function) == api::CUDA_SUCCESS;
  if (!told) return std::nullopt;
  return static_cast<uint64_t>(std::max(bytes, 0));
}

std::optional<uint64_t> Asked(api::CUkernel kernel) {
  int bytes = 0;
  const int device = std::max(CurrentDevice(), 0);
  const bool told =
      Real().cuKernelGetAttribute &&
      Real().cuKernelGetAttribute(&bytes, kLocalSize, kernel, device) == api::CUDA_SUCCESS;
  if (!told) return std::nullopt;
  return static_cast<uint64_t>(std::max(bytes, 0));
}

uint64_t NeedOfKernel(uint64_t kernel) {
  Kernels& kernels = TheKernels();
  {
    std::lock_guard<std::mutex> lock(kernels.mu);
    const auto found = kernels.needs.find(kernel);
    if (found != kernels.needs.end()) return found->second.bytes;
  }
  const CaptureSafe safe;
  const std::optional<uint64_t> bytes = Asked(reinterpret_cast<api::CUfunction>(kernel));
  if (!bytes) return 0;
  std::lock_guard<std::mutex> lock(kernels.mu);
  return kernels.needs.try_emplace(kernel, Need{*bytes, 0, false}).first->second.bytes;
}

// Between GrowthFor and Made.
thread_local uint64_t t_each __attribute__((tls_model("initial-exec"))) = 0;

// The driver tells it as the limit that a program may set, whoever made it what it is.
std::optional<uint64_t> RoomNow() {
  size_t room = 0;
  const bool told =
      Real().cuCtxGetLimit && Real().cuCtxGetLimit(&room, kStackSize) == api::CUDA_SUCCESS;
  if (!told) return std::nullopt;
  return room;
}

// An application may offer room for more kernels than there are.
template <class H>
size_t Least(unsigned offered, api::CUresult (*count)(unsigned*, H), H of) {
  unsigned there = 0;
  return count && count(&there, of) == api::CUDA_SUCCESS ? std::min(offered, there) : 0;
}

uint64_t ThreadsAtOnce(int device) {
  int processors = 0, threads = 0;
  const api::Real& real = Real();
  const bool told =
      real.cuDeviceGetAttribute &&
      real.cuDeviceGetAttribute(&processors, kMultiprocessors, device) == api::CUDA_SUCCESS &&
      real.cuDeviceGetAttribute(&threads, kThreadsOfOne, device) == api::CUDA_SUCCESS;
  return told ? static_cast<uint64_t>(processors) * static_cast<uint64_t>(threads) : 0;
}

}  // namespace

constinit std::atomic<uint64_t> ThreadMemory::most_needed_{0};

bool ThreadMemory::Learn(const Call& call) {
  const CaptureSafe safe;
  bool is_new = false;
  const auto learn = [&is_new](const auto* made, size_t count, const auto& code) {
    for (size_t i = 0; made && i < count; ++i) {
      if (!made[i]) continue;
      const std::optional<uint64_t> need = Asked(made[i]);
      if (!need) {
        is_new = true;  // for all that is known
        continue;
      }
      uint64_t most = most_needed_.load(std::memory_order_relaxed);
      while (most < *need && !most_needed_.compare_exchange_weak(most, *need)) {
      }
      Kernels& kernels = TheKernels();
      std::lock_guard<std::mutex> lock(kernels.mu);
      constexpr bool kInLibrary = std::is_same_v<decltype(made), const api::CUkernel*>;
      const uint64_t kernel = intercept::ToWord(made[i]);
      const Need told = {*need, intercept::ToWord(code), kInLibrary};
      is_new |= kernels.needs.insert_or_assign(kernel, told).second;
    }
  };
  switch (call.info().index) {
    case api::CuModuleGetFunctionCall::kIndex: {
      const auto& c = call.As<api::CuModuleGetFunctionCall>();
      learn(c.hfunc, 1, c.hmod);
      break;
    }
    case api::CuLibraryGetKernelCall::kIndex: {
      const auto& c = call.As<api::CuLibraryGetKernelCall>();
      learn(c.pKernel, 1, c.library);
      break;
    }
    case api::CuModuleEnumerateFunctionsCall::kIndex: {
      const auto& c = call.As<api::CuModuleEnumerateFunctionsCall>();
      const size_t count = Least(c.numFunctions, Real().cuModuleGetFunctionCount, c.mod);
      learn(c.functions, count, c.mod);
      break;
    }
    case api::CuLibraryEnumerateKernelsCall::kIndex: {
      const auto& c = call.As<api::CuLibraryEnumerateKernelsCall>();
      const size_t count = Least(c.numKernels, Real().cuLibraryGetKernelCount, c.lib);
      learn(c.kernels, count, c.lib);
      break;
    }
    default:
      break;
  }
  return is_new;
}

// A program may launch a library's kernel as it is, or as its function in the current context.
KernelSet ThreadMemory::Needing() {
  if (!MayGrow()) return {};
  if (!IsKnown() || !Real().cuKernelGetFunction) return {KernelSet::kAll};
  const uint64_t room = KnownRoom();
  KernelSet set;
  std::vector<std::pair<uint64_t, uint64_t>> of_libraries;
  Kernels& kernels = TheKernels();
  {
    std::lock_guard<std::mutex> lock(kernels.mu);
    for (const auto& [kernel, need] : kernels.needs) {
      if (need.bytes <= room) continue;
      set.Add(kernel);
      if (need.in_library) of_libraries.emplace_back(kernel, need.bytes);
    }
  }
  const CaptureSafe safe;
  for (const auto& [kernel, bytes] : of_libraries) {
    api::CUfunction function = nullptr;
    const auto of = reinterpret_cast<api::CUkernel>(kernel);
    if (Real().cuKernelGetFunction(&function, of) != api::CUDA_SUCCESS) return {KernelSet::kAll};
    set.Add(intercept::ToWord(function));
    std::lock_guard<std::mutex> lock(kernels.mu);
    kernels.needs[intercept::ToWord(function)] = {bytes, 0, false};
  }
  return set;
}

void ThreadMemory::ForgetCode(uint64_t code) {
  Kernels& kernels = TheKernels();
  std::lock_guard<std::mutex> lock(kernels.mu);
  std::erase_if(kernels.needs, [code](const auto& one) {
    return one.second.code == code || one.second.code == 0;
  });
}

uint64_t ThreadMemory::NeedOf(api::CUgraph graph) {
  if (!graph) return 0;
  const CaptureSafe safe;
  uint64_t need = 0;
  for (const uint64_t kernel : Graphs::KernelsIn(graph)) {
    need = std::max(need, NeedOfKernel(kernel));
  }
  return need;
}

uint64_t ThreadMemory::GrowthFor(uint64_t kernel) {
  return MayGrow() ? GrowthForNeed(NeedOfKernel(kernel)) : 0;
}

uint64_t ThreadMemory::GrowthFor(api::CUgraph graph) {
  return MayGrow() ? GrowthForNeed(NeedOf(graph)) : 0;
}

// A block more than the sum: parts of blocks that there are.
uint64_t ThreadMemory::GrowthTo(uint64_t each) {
  const std::optional<uint64_t> room = Room();
  if (!room || each <= *room) return 0;
  t_each = each;
  const uint64_t threads = ThreadsAtOnce(CurrentDevice());
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(RoundUp(each, kThreadStep) - *room, threads, &bytes) ||
      bytes > kMost) {
    return kMost;
  }
  return RoundUp(bytes, kBlock) + kBlock;
}

// Should a driver not tell what room it made by itself, it is remembered: it is not made again.
std::optional<uint64_t> ThreadMemory::Room() {
  const std::optional<uint64_t> room = RoomNow();
  std::lock_guard<std::mutex> lock(mu_);
  const auto made = made_.empty() || !room ? made_.end() : made_.find(CurrentContext());
  return made == made_.end() ? room : std::max(*room, made->second);
}

void ThreadMemory::Made() {
  const uint64_t context = CurrentContext();
  std::lock_guard<std::mutex> lock(mu_);
  made_[context] = std::max(made_[context], t_each);
}

void ThreadMemory::Set() {
  const uint64_t context = CurrentContext();
  std::lock_guard<std::mutex> lock(mu_);
  made_.erase(context);
}

void ThreadMemory::Forget(uint64_t context) {
  Forget();
  {
    Kernels& kernels = TheKernels();
    std::lock_guard<std::mutex> lock(kernels.mu);
    std::erase_if(kernels.needs, [](const auto& one) { return !one.second.in_library; });
  }
  std::lock_guard<std::mutex> lock(mu_);
  made_.erase(context);
}

void ThreadMemory::Look() {
  const std::optional<uint64_t> room = Room();
  room_.store(room ? *room + 1 : 0, std::memory_order_relaxed);
}

}  // namespace flexai::backend::cuda
