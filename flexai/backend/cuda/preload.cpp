// lib/libflexai_cuda.so, which `flexai run` preloads: a dlopen of the driver, of the management
// library or, by a loader of OpenCL, of the vendor's driver of that, by whatever path, gets ours,
// which lie beside this one; and so does a dlmopen into the program's own namespace. Everything
// else goes on to the C library with the caller's return address in place, because dlopen looks at
// it to find the caller's search path: hence the jump.
#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <atomic>

namespace flexai::backend::cuda {
namespace {

struct Ours {
  const char* stem;  // what a name of the library begins with
  const char* place;
};
constexpr Ours kOurs[] = {{"libcuda.so", "/cuda/libcuda.so.1"},
                          {"libnvidia-ml.so", "/nvml/libnvidia-ml.so.1"},
                          {"libnvidia-opencl.so", "/libflexai_opencl.so"}};
constexpr int kCount = sizeof kOurs / sizeof kOurs[0];
constexpr int kOpenCl = 2;

// Written by whoever comes first, always with the same text.
char g_paths[kCount][PATH_MAX];
std::atomic<int> g_ready{0};  // 1: being written, 2: there

// Whether `file` ends in the library's name, perhaps with a version.
bool Names(const char* file, const char* stem) {
  const char* slash = strrchr(file, '/');
  const char* name = slash ? slash + 1 : file;
  const size_t length = strlen(stem);
  if (strncmp(name, stem, length) != 0) return false;
  return name[length] == '\0' ||
         (name[length] == '.' && name[length + 1] >= '0' && name[length + 1] <= '9');
}

void FindOurs() {
  int expected = 0;
  if (!g_ready.compare_exchange_strong(expected, 1)) return;
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&FindOurs), &self) && self.dli_fname) {
    const char* slash = strrchr(self.dli_fname, '/');
    const size_t folder = slash ? static_cast<size_t>(slash - self.dli_fname) : 0;
    for (int i = 0; i < kCount; ++i) {
      const size_t rest = strlen(kOurs[i].place) + 1;
      if (folder == 0 || folder + rest > PATH_MAX) continue;
      memcpy(g_paths[i], self.dli_fname, folder);
      memcpy(g_paths[i] + folder, kOurs[i].place, rest);
      if (access(g_paths[i], R_OK) != 0) g_paths[i][0] = '\0';
    }
  }
  g_ready.store(2, std::memory_order_release);
}

}  // namespace

struct Choice {
  const char* file;
  void* next;
};

/// What a loader of OpenCL last asked for when it got our library as the driver; empty: nothing.
/// Our library, which stands for any driver of OpenCL, finds it by this name.
extern "C" {
__attribute__((visibility("default"))) char FlexaiAskedOpenClDriver[PATH_MAX] = "";
}

static const char* ChooseFile(const char* file) {
  for (int i = 0; file && i < kCount; ++i) {
    if (!Names(file, kOurs[i].stem)) continue;
    FindOurs();
    if (g_ready.load(std::memory_order_acquire) != 2 || !g_paths[i][0]) continue;
    // Loaders open drivers one after the other, each under a lock of its own.
    if (i == kOpenCl) strncpy(FlexaiAskedOpenClDriver, file, PATH_MAX - 1);
    return g_paths[i];
  }
  return file;
}

/// What dlopen shall open instead of `file`, and the dlopen that shall do it.
extern "C" __attribute__((visibility("hidden"))) Choice FlexaiChooseFile(const char* file) {
  static void* const next = dlsym(RTLD_NEXT, "dlopen");
  return {ChooseFile(file), next};
}

/// The same of dlmopen. In another namespace we would be a second time, and know nothing of the
/// first: what is opened there stays what it is.
extern "C" __attribute__((visibility("hidden"))) Choice FlexaiChooseFileIn(Lmid_t space,
                                                                           const char* file) {
  static void* const next = dlsym(RTLD_NEXT, "dlmopen");
  return {space == LM_ID_BASE ? ChooseFile(file) : file, next};
}

}  // namespace flexai::backend::cuda

#if defined(__x86_64__)
asm(R"(
  .text
  .globl dlopen
  .type dlopen, @function
dlopen:
  pushq %rsi
  call FlexaiChooseFile
  popq %rsi
  movq %rax, %rdi
  jmp *%rdx
  .size dlopen, . - dlopen

  .globl dlmopen
  .type dlmopen, @function
dlmopen:
  pushq %rdi
  pushq %rdx
  subq $8, %rsp
  call FlexaiChooseFileIn
  addq $8, %rsp
  movq %rax, %rsi
  movq %rdx, %r11
  popq %rdx
  popq %rdi
  jmp *%r11
  .size dlmopen, . - dlmopen
)");
#elif defined(__aarch64__)
asm(R"(
  .text
  .globl dlopen
  .type dlopen, %function
dlopen:
  stp x29, x30, [sp, #-32]!
  str x1, [sp, #16]
  bl FlexaiChooseFile
  mov x16, x1
  ldr x1, [sp, #16]
  ldp x29, x30, [sp], #32
  br x16
  .size dlopen, . - dlopen

  .globl dlmopen
  .type dlmopen, %function
dlmopen:
  stp x29, x30, [sp, #-32]!
  stp x0, x2, [sp, #16]
  bl FlexaiChooseFileIn
  mov x16, x1
  mov x1, x0
  ldp x0, x2, [sp, #16]
  ldp x29, x30, [sp], #32
  br x16
  .size dlmopen, . - dlmopen
)");
#else
#error "no dlopen for this machine"
#endif
