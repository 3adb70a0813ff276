// A stand-in for profilers and checkers: the one library that such tools bring into a program, by
// both of their ways. The driver loads what CUDA_INJECTION64_PATH names in the middle of cuInit and
// calls InitializeInjection; LD_PRELOAD puts a dlopen of its own in front of the C library's. What
// it sees goes to the file that TOOL_FILE names, a line for each thing.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace {

// A table that cudart asks for.
constexpr unsigned char kTable[16] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
                                      0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};

__attribute__((format(printf, 1, 2))) void Tell(const char* format, ...) {
  const char* path = getenv("TOOL_FILE");
  const int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
  if (fd < 0) return;
  char text[4352];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text, sizeof(text) - 1, format, arguments);
  va_end(arguments);
  text[length] = '\n';
  [[maybe_unused]] const ssize_t written = write(fd, text, static_cast<size_t>(length) + 1);
  close(fd);
}

template <class F>
F Find(void* library, const char* name) {
  return reinterpret_cast<F>(dlsym(library, name));
}

void* AskFromAThread(void* library) {
  int version = 0;
  const auto ask = Find<int (*)(int*)>(library, "cuDriverGetVersion");
  const int code = ask(&version);
  Tell("thread %d %d", code, version);
  return nullptr;
}

}  // namespace

// As these tools do while the driver begins: they find its library and its tables, and ask it.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  Tell("injected %d", library != nullptr);
  if (!library) return 0;
  Dl_info about = {};
  if (void* symbol = dlsym(library, "cuInit"); dladdr(symbol, &about)) {
    Tell("library %s", about.dli_fname);
  }
  const void* const* table = nullptr;
  const auto get = Find<int (*)(const void* const**, const void*)>(library, "cuGetExportTable");
  const int code = get(&table, kTable);
  Tell("table %d %d %s", code, table != nullptr,
       table && dladdr(table[1], &about) ? about.dli_fname : "nowhere");
  void* context = &context;
  Tell("context %d", Find<int (*)(void**)>(library, "cuCtxGetCurrent")(&context));
  void* found = nullptr;
  int status = -1;
  const auto look_up =
      Find<int (*)(const char*, void**, int, unsigned long, int*)>(library, "cuGetProcAddress_v2");
  const int looked_up = look_up("cuLaunchKernel", &found, 12000, 0, &status);
  Tell("look-up %d %d", looked_up, found != nullptr);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, &AskFromAThread, library) == 0) {
    pthread_join(thread, nullptr);
  }
  return 1;
}

// In a program in which it is preloaded. TOOL_NEXT=libc leaves out whoever is preloaded behind it.
extern "C" __attribute__((visibility("default"))) void* dlopen(const char* file,
                                                               int flags) noexcept {
  using Open = void* (*)(const char*, int);
  const char* next = getenv("TOOL_NEXT");
  static const auto behind = Find<Open>(RTLD_NEXT, "dlopen");
  static const auto original = reinterpret_cast<Open>(dlvsym(RTLD_NEXT, "dlopen", "GLIBC_2.2.5"));
  if (file && strstr(file, "libcuda.so")) Tell("dlopen %s", file);
  return (next && strcmp(next, "libc") == 0 && original ? original : behind)(file, flags);
}
