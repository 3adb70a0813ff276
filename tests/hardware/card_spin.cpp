// Work on a card whose progress is known to the microsecond: kernels of a given length that say how
// far they are while they run. On the fake card, whose kernels compute nothing, progress is what
// has ended.
//   card_spin calibrate                                  iterations per ms on a free card
//   card_spin once
// a few short kernels; prints the clock (CLOCK_MONOTONIC, ns) when it began, the driver was there,
// a context, all that the kernels need, and when they had ended
//   card_spin run LOG ITERATIONS_PER_MS KERNEL_US [BATCH [WORK_MS THINK_MS]]
//   card_spin copy LOG ITERATIONS_PER_MS
// pinned copies both ways, compared at the end
//   card_spin contexts LOG ITERATIONS_PER_MS [busy]
// a new context for each four kernels of 1 ms; busy: another thread works all the time meanwhile
//   card_spin leave LOG ITERATIONS_PER_MS
// four kernels of 1 ms that nobody waits for, and then nothing
//   card_spin left LOG ITERATIONS_PER_MS
// 20 ms of work each 40 ms, on streams that are destroyed at once and waited for by nobody
//   card_spin two LOG ITERATIONS_PER_MS
// two contexts in two threads: 40 ms of work in one, 0.4 ms in the other, a wait for all after each
//   card_spin wake LOG ITERATIONS_PER_MS
// for each line of stdin: one kernel of 0.1 ms in 20 ms, 100 times; prints p50, p99 and most of the
// ms from its launch to its end
//   card_spin calls LOG ITERATIONS_PER_MS
// for each line of stdin: prints the ns that a launch takes, one after much else was in the caches,
// and cuMemAlloc and cuMemFree
// LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double ms of work done); BATCH kernels are launched
// before each wait; with WORK_MS it works that long, then thinks for THINK_MS. It runs until
// SIGTERM.
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "cuda/real.h"

namespace cu = flexai::api::cuda;

namespace {

cu::Real g_cuda;
std::atomic<bool> g_end{false};
void OnTerm(int) { g_end = true; }

constexpr char kKernel[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry spin(.param .u64 out, .param .u64 iterations, .param .u64 base, .param .u64 done)
{
  .reg .pred %p<5>;
  .reg .b32 %r<4>;
  .reg .f32 %f<2>;
  .reg .b64 %d<9>;
  ld.param.u64 %d1, [iterations];
  ld.param.u64 %d2, [base];
  ld.param.u64 %d3, [done];
  ld.param.u64 %d7, [out];
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %ctaid.x;
  or.b32 %r3, %r1, %r2;
  setp.eq.u32 %p1, %r3, 0;
  cvt.rn.f32.u32 %f1, %r1;
  mov.u64 %d4, 0;
LOOP:
  fma.rn.f32 %f1, %f1, 0f3F800347, 0f3F000000;
  add.u64 %d4, %d4, 1;
  and.b64 %d5, %d4, 4095;
  setp.eq.u64 %p2, %d5, 0;
  and.pred %p3, %p1, %p2;
  add.u64 %d6, %d2, %d4;
  @%p3 st.volatile.global.u64 [%d3], %d6;
  setp.lt.u64 %p4, %d4, %d1;
  @%p4 bra LOOP;
  setp.eq.f32 %p2, %f1, 0f46400000;
  @%p2 st.global.f32 [%d7], %f1;
  ret;
}
)";

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec;
}

void Check(cu::CUresult code, const char* what) {
  if (code == cu::CUDA_SUCCESS) return;
  fprintf(stderr, "card_spin: %s: error %u\n", what, code);
  exit(3);
}
#define DO(call) Check(g_cuda.call, #call)

void Load() {
  // By its name, as programs do.
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) {
    fprintf(stderr, "card_spin: %s\n", dlerror());
    exit(2);
  }
  void** table = cu::AsTable(g_cuda);
  for (const auto& info : cu::kFunctions) table[info.index] = dlsym(library, info.name);
}

struct Card {
  cu::CUcontext context = nullptr;
  cu::CUstream stream = nullptr;
  cu::CUstream forgotten = nullptr;  // is launched to once, and nobody ever waits for it
  cu::CUfunction spin = nullptr;
  cu::CUdeviceptr_v2 out = 0, done_on_card = 0;
  volatile uint64_t* done = nullptr;
  int units = 1;
  std::vector<int64_t> made;  // the clock when the driver was there, the context, the rest

  explicit Card(bool own_context = false) {
    DO(cuInit(0));
    made.push_back(Now());
    if (own_context) {
      DO(cuCtxCreate_v2(&context, 0, 0));
    } else {
      DO(cuDevicePrimaryCtxRetain(&context, 0));
      DO(cuCtxSetCurrent(context));
    }
    made.push_back(Now());
    g_cuda.cuDeviceGetAttribute(&units, 16 /* multiprocessors */, 0);
    DO(cuStreamCreate(&stream, 1 /* does not wait for the default stream */));
    DO(cuStreamCreate(&forgotten, 1));
    cu::CUmodule module = nullptr;
    DO(cuModuleLoadData(&module, kKernel));
    DO(cuModuleGetFunction(&spin, module, "spin"));
    DO(cuMemAlloc_v2(&out, 256));
    void* host = nullptr;
    DO(cuMemHostAlloc(&host, 4096, 2 /* seen by the card */));
    memset(host, 0, 4096);
    DO(cuMemHostGetDevicePointer_v2(&done_on_card, host, 0));
    done = static_cast<volatile uint64_t*>(host);
    made.push_back(Now());
  }

  void Launch(uint64_t iterations, uint64_t base) { LaunchOn(stream, iterations, base); }
  void LaunchOn(cu::CUstream on, uint64_t iterations, uint64_t base) {
    void* arguments[] = {&out, &iterations, &base, &done_on_card};
    DO(cuLaunchKernel(spin, static_cast<unsigned>(units), 1, 1, 1024, 1, 1, 0, on, arguments,
                      nullptr));
  }
  void Wait() { DO(cuStreamSynchronize(stream)); }
};

class Log {
 public:
  explicit Log(const char* path) : file_(fopen(path, "wb")) {
    if (!file_) {
      perror(path);
      exit(2);
    }
  }
  void Note(int64_t at, double work) {
    const struct {
      int64_t at;
      double work;
    } entry = {at, work};
    fwrite(&entry, sizeof(entry), 1, file_);
    if (at - flushed_ > 20 * 1000 * 1000) {
      fflush(file_);
      flushed_ = at;
    }
  }
  void Flush() { fflush(file_); }

 private:
  FILE* file_;
  int64_t flushed_ = 0;
};

int Calibrate() {
  Card card;
  constexpr uint64_t kIterations = 400000;
  std::vector<double> ms;
  for (int i = 0; i < 60; ++i) {
    const int64_t begin = Now();
    for (int k = 0; k < 8; ++k) card.Launch(kIterations, 0);
    card.Wait();
    ms.push_back(static_cast<double>(Now() - begin) / 8e6);
  }
  // Of the later ones: the card's clock has risen by then.
  std::sort(ms.begin() + 20, ms.end());
  printf("%.1f\n", kIterations / ms[40]);
  return 0;
}

// As little as a checker that follows every access needs to see.
int Once(int64_t began) {
  Card card;
  for (int i = 0; i < 4; ++i) card.Launch(1000, 0);
  card.Wait();
  printf("%lld", static_cast<long long>(began));
  for (const int64_t at : card.made) printf(" %lld", static_cast<long long>(at));
  printf(" %lld\n", static_cast<long long>(Now()));
  return 0;
}

struct Shape {
  double per_ms;
  double kernel_us;
  int batch = 4;
  double work_ms = 0, think_ms = 0;
};

int Run(const char* path, const Shape& shape) {
  Card card;
  Log log(path);
  const auto iterations = static_cast<uint64_t>(shape.per_ms * shape.kernel_us / 1000);
  std::atomic<uint64_t> ended{0};
  std::atomic<bool> quit{false};
  std::thread sampler([&] {
    uint64_t last = ~uint64_t{0};
    int64_t before = 0;
    while (!quit) {
      const uint64_t work = std::max(uint64_t{*card.done}, ended.load());
      const int64_t now = Now();
      if (work != last) {
        // It stood still until just now.
        if (before) log.Note(before, static_cast<double>(last) / shape.per_ms);
        log.Note(now, static_cast<double>(work) / shape.per_ms);
        last = work;
        before = 0;
      } else {
        before = now;
      }
      usleep(300);
    }
  });
  uint64_t total = 0;
  card.LaunchOn(card.forgotten, iterations, 0);
  card.Launch(iterations, 0);
  card.Wait();
  total = ended = iterations;
  printf("ready\n");
  fflush(stdout);
  // By work, not by the clock: batches that last a little longer or shorter are as many.
  const int64_t batches =
      std::max<int64_t>(1, std::lround(shape.work_ms * 1000 / (shape.batch * shape.kernel_us)));
  int64_t left = batches;
  while (!g_end) {
    for (int i = 0; i < shape.batch; ++i, total += iterations) card.Launch(iterations, total);
    card.Wait();
    ended = total;
    if (shape.think_ms > 0 && --left == 0) {
      usleep(static_cast<useconds_t>(shape.think_ms * 1000));
      left = batches;
    }
  }
  usleep(2000);
  quit = true;
  sampler.join();
  log.Flush();
  return 0;
}

int Contexts(const char* path, double per_ms, bool busy) {
  Log log(path);
  const auto iterations = static_cast<uint64_t>(per_ms);
  std::thread other([&] {
    if (!busy) return;
    Card card(/*own_context=*/true);
    while (!g_end) {
      for (int i = 0; i < 4; ++i) card.Launch(iterations, 0);
      card.Wait();
    }
  });
  printf("ready\n");
  fflush(stdout);
  for (double made = 1; !g_end; ++made) {
    Card card(/*own_context=*/true);
    for (int i = 0; i < 4; ++i) card.Launch(iterations, 0);
    card.Wait();
    DO(cuCtxDestroy_v2(card.context));
    log.Note(Now(), made);
    log.Flush();
  }
  other.join();
  return 0;
}

// How far it is nobody can tell by a wait, so the log says what the card says, and on the fake card
// nothing.
int Left(const char* path, double per_ms) {
  Card card;
  Log log(path);
  const auto iterations = static_cast<uint64_t>(per_ms);
  printf("ready\n");
  fflush(stdout);
  uint64_t total = 0;
  int64_t next = Now();
  while (!g_end) {
    cu::CUstream stream = nullptr;
    DO(cuStreamCreate(&stream, 1));
    for (int i = 0; i < 20; ++i, total += iterations) card.LaunchOn(stream, iterations, total);
    DO(cuStreamDestroy_v2(stream));
    // The card may be slower than the program: then it makes no more than is soon done.
    next = std::max(next + 40 * 1000 * 1000, Now() - 40 * 1000 * 1000);
    do {
      usleep(1000);
      log.Note(Now(), static_cast<double>(*card.done) / per_ms);
    } while (!g_end && (Now() < next || (*card.done && *card.done + 100 * iterations < total)));
  }
  log.Flush();
  return 0;
}

int Leave(double per_ms) {
  Card card;
  for (int i = 0; i < 4; ++i) card.Launch(static_cast<uint64_t>(per_ms), 0);
  printf("ready\n");
  fflush(stdout);
  while (!g_end) usleep(1000);
  return 0;
}

int Two(const char* path, double per_ms) {
  Log log(path);
  std::atomic<uint64_t> ended[2] = {};
  const auto work = [&](int which) {
    Card card(/*own_context=*/true);
    const auto iterations = static_cast<uint64_t>(which == 0 ? 10 * per_ms : per_ms / 10);
    if (which == 0) {
      printf("ready\n");
      fflush(stdout);
    }
    while (!g_end) {
      for (int i = 0; i < 4; ++i) card.LaunchOn(nullptr, iterations, 0);
      DO(cuCtxSynchronize());
      ended[which] += 4 * iterations;
    }
  };
  std::thread other(work, 1), first(work, 0);
  while (!g_end) {
    usleep(1000);
    log.Note(Now(), static_cast<double>(ended[0] + ended[1]) / per_ms);
  }
  first.join();
  other.join();
  log.Flush();
  return 0;
}

int Wake(double per_ms) {
  Card card;
  const auto iterations = static_cast<uint64_t>(per_ms / 10);
  card.Launch(iterations, 0);
  card.Wait();
  printf("ready\n");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof(line), stdin)) {
    std::vector<double> ms;
    for (int i = 0; i < 100; ++i) {
      usleep(20000);
      const int64_t begin = Now();
      card.Launch(iterations, 0);
      card.Wait();
      ms.push_back(static_cast<double>(Now() - begin) / 1e6);
    }
    std::sort(ms.begin(), ms.end());
    printf("%.3f %.3f %.3f\n", ms[50], ms[98], ms[99]);
    fflush(stdout);
  }
  return 0;
}

// The mean of the better half: what else happens on the host only makes it slower.
double BetterHalf(std::vector<double> ns) {
  std::sort(ns.begin(), ns.end());
  ns.resize(ns.size() / 2);
  return std::accumulate(ns.begin(), ns.end(), 0.0) / static_cast<double>(ns.size());
}

int Calls() {
  constexpr int kRounds = 10, kLaunches = 500, kCold = 10, kAllocations = 50;
  Card card;
  std::vector<uint64_t> others((size_t{4} << 20) /
                               sizeof(uint64_t));  // more than a core's own cache
  const auto launch = [&] {
    uint64_t one = 1, base = 0;
    void* arguments[] = {&card.out, &one, &base, &card.done_on_card};
    DO(cuLaunchKernel(card.spin, 1, 1, 1, 32, 1, 1, 0, card.stream, arguments, nullptr));
  };
  cu::CUdeviceptr_v2 memory = 0;
  const auto allocate = [&] { DO(cuMemAlloc_v2(&memory, size_t{2} << 20)); };
  const auto free = [&] { DO(cuMemFree_v2(memory)); };
  const auto took = [](int times, const auto& what) {
    const int64_t begin = Now();
    for (int i = 0; i < times; ++i) what();
    return static_cast<double>(Now() - begin) / times;
  };
  launch();
  card.Wait();
  printf("ready\n");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof(line), stdin)) {
    std::vector<double> launches, cold, allocations, frees;
    for (int round = 0; round < kRounds; ++round) {
      launches.push_back(took(kLaunches, launch));
      card.Wait();
      for (int i = 0; i < kCold; ++i) {
        for (uint64_t& other : others) ++other;
        cold.push_back(took(1, launch));
      }
      card.Wait();
      for (int i = 0; i < kAllocations; ++i) {
        allocations.push_back(took(1, allocate));
        frees.push_back(took(1, free));
      }
    }
    printf("%.1f %.1f %.1f %.1f\n", BetterHalf(launches), BetterHalf(cold), BetterHalf(allocations),
           BetterHalf(frees));
    fflush(stdout);
  }
  return 0;
}

int Copy(const char* path) {
  constexpr size_t kBytes = size_t{64} << 20;
  Card card;
  Log log(path);
  unsigned char* host[3];
  for (auto& block : host) DO(cuMemHostAlloc(reinterpret_cast<void**>(&block), kBytes, 0));
  for (size_t i = 0; i < kBytes; ++i) {
    host[0][i] = static_cast<unsigned char>(i * 7 + (i >> 12));
    host[1][i] = static_cast<unsigned char>(i * 13 + (i >> 9));
  }
  cu::CUdeviceptr_v2 there = 0;
  DO(cuMemAlloc_v2(&there, kBytes));
  printf("ready\n");
  fflush(stdout);
  unsigned long copies = 0, bad = 0;
  for (; !g_end; ++copies) {
    unsigned char* from = host[copies % 2];
    DO(cuMemcpyHtoDAsync_v2(there, from, kBytes, card.stream));
    card.Wait();
    memset(host[2], 0, 4096);
    DO(cuMemcpyDtoHAsync_v2(host[2], there, kBytes, card.stream));
    card.Wait();
    bad += memcmp(host[2], from, kBytes) != 0;
    log.Note(Now(), static_cast<double>(copies + 1) * 2 * kBytes / 1e9);
  }
  log.Flush();
  printf("copies %lu bad %lu\n", copies, bad);
  return bad != 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t began = Now();
  signal(SIGTERM, &OnTerm);
  const std::string word = argc > 1 ? argv[1] : "";
  Load();
  if (word == "calibrate") return Calibrate();
  if (word == "once") return Once(began);
  if (word == "copy" && argc > 2) return Copy(argv[2]);
  if (word == "contexts" && argc > 3) return Contexts(argv[2], atof(argv[3]), argc > 4);
  if (word == "left" && argc > 3) return Left(argv[2], atof(argv[3]));
  if (word == "leave" && argc > 3) return Leave(atof(argv[3]));
  if (word == "two" && argc > 3) return Two(argv[2], atof(argv[3]));
  if (word == "calls" && argc > 3) return Calls();
  if (word == "wake" && argc > 3) return Wake(atof(argv[3]));
  if (word == "run" && argc > 4) {
    Shape shape = {atof(argv[3]), atof(argv[4])};
    if (argc > 5) shape.batch = atoi(argv[5]);
    if (argc > 7) {
      shape.work_ms = atof(argv[6]);
      shape.think_ms = atof(argv[7]);
    }
    return Run(argv[2], shape);
  }
  fprintf(stderr, "usage: see the head of card_spin.cpp\n");
  return 2;
}
