// An OpenCL program on NVIDIA's driver of it, on a real card or on the fake one.
//   card_opencl calibrate        iterations per ms on a free card
//   card_opencl memory NVML      64 MiB buffers, each filled, until one is refused; what the
//                                library NVML says that the process holds then; all given back,
//                                and again, 6 times in all
//   card_opencl run LOG PER_MS   kernels of 1 ms, a wait after each four, until SIGTERM; PER_MS 0:
//                                it finds their length out itself, which is right on a free card
// LOG gets pairs of (int64 CLOCK_MONOTONIC ns, double ms of work done), as card_spin's does.
// Exit code 77 where no such driver or card is.
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "opencl/real.h"
#include "tests/hardware/held.h"

namespace cl = flexai::api::opencl;

namespace {

constexpr int kNotHere = 77;
constexpr cl::cl_uint kNvidia = 0x10DE;
constexpr uint64_t kMiB = uint64_t{1} << 20;
cl::Real g_cl;
std::atomic<bool> g_end{false};
void OnTerm(int) { g_end = true; }

constexpr char kSource[] = R"(
__kernel void spin(__global float* out, ulong iterations) {
  float x = get_local_id(0);
  #pragma unroll 1
  for (ulong i = 0; i < iterations; ++i) x = fma(x, 1.0002f, 0.5f);
  if (x == 12345.0f) out[0] = x;
}
)";

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec;
}

void Check(cl::cl_int code, const char* what) {
  if (code == 0) return;
  fprintf(stderr, "card_opencl: %s: error %d\n", what, code);
  exit(3);
}
#define DO(call) Check(g_cl.call, #call)

[[noreturn]] void Missing(const char* what) {
  printf("no OpenCL of NVIDIA's here: %s\n", what);
  exit(kNotHere);
}

cl::cl_device_id FindDevice() {
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW);
  if (!library) Missing("libOpenCL.so.1 is not installed");
  void** table = cl::AsTable(g_cl);
  for (const auto& info : cl::kFunctions) table[info.index] = dlsym(library, info.name);
  cl::cl_platform_id platforms[32];
  cl::cl_uint platform_count = 0;
  g_cl.clGetPlatformIDs(32, platforms, &platform_count);
  for (cl::cl_uint p = 0; p < std::min(platform_count, 32u); ++p) {
    cl::cl_device_id devices[64];
    cl::cl_uint count = 0;
    const auto all = static_cast<cl::cl_ulong>(cl::CL_DEVICE_TYPE_ALL);
    if (g_cl.clGetDeviceIDs(platforms[p], all, 64, devices, &count) != 0) continue;
    for (cl::cl_uint d = 0; d < std::min(count, 64u); ++d) {
      cl::cl_uint vendor = 0;
      g_cl.clGetDeviceInfo(devices[d], cl::CL_DEVICE_VENDOR_ID, sizeof(vendor), &vendor, nullptr);
      if (vendor == kNvidia) return devices[d];
    }
  }
  Missing("no driver that the loader knows shows such a card");
}

struct Card {
  cl::cl_device_id device = FindDevice();
  cl::cl_context context = nullptr;
  cl::cl_command_queue queue = nullptr;

  Card() {
    cl::cl_int code = 0;
    context = g_cl.clCreateContext(nullptr, 1, &device, nullptr, nullptr, &code);
    Check(code, "clCreateContext");
    queue = g_cl.clCreateCommandQueue(context, device, 0, &code);
    Check(code, "clCreateCommandQueue");
  }
};

class Spin {
 public:
  explicit Spin(const Card& card) : queue_(card.queue) {
    cl::cl_int code = 0;
    const char* source = kSource;
    const cl::cl_program program =
        g_cl.clCreateProgramWithSource(card.context, 1, &source, nullptr, &code);
    Check(code, "clCreateProgramWithSource");
    DO(clBuildProgram(program, 1, &card.device, nullptr, nullptr, nullptr));
    kernel_ = g_cl.clCreateKernel(program, "spin", &code);
    Check(code, "clCreateKernel");
    const cl::cl_mem out = g_cl.clCreateBuffer(card.context, 0, 256, nullptr, &code);
    Check(code, "clCreateBuffer");
    DO(clSetKernelArg(kernel_, 0, sizeof(out), &out));
    cl::cl_uint units = 1;
    DO(clGetDeviceInfo(card.device, cl::CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(units), &units,
                       nullptr));
    items_ = group_ * units;
  }
  void Launch(uint64_t iterations) {
    DO(clSetKernelArg(kernel_, 1, sizeof(iterations), &iterations));
    DO(clEnqueueNDRangeKernel(queue_, kernel_, 1, nullptr, &items_, &group_, 0, nullptr, nullptr));
  }
  void Wait() { DO(clFinish(queue_)); }

  double IterationsPerMs() {
    constexpr uint64_t kIterations = 400000;
    std::vector<double> ms;
    for (int i = 0; i < 60; ++i) {
      const int64_t begin = Now();
      for (int k = 0; k < 8; ++k) Launch(kIterations);
      Wait();
      ms.push_back(static_cast<double>(Now() - begin) / 8e6);
    }
    // Of the later ones: the card's clock has risen by then.
    std::sort(ms.begin() + 20, ms.end());
    return kIterations / ms[40];
  }

 private:
  cl::cl_command_queue queue_;
  cl::cl_kernel kernel_ = nullptr;
  size_t group_ = 1024, items_ = 1024;
};

int Run(const char* path, double per_ms) {
  const Card card;
  Spin spin(card);
  FILE* log = fopen(path, "wb");
  if (!log) {
    perror(path);
    return 2;
  }
  if (per_ms <= 0) per_ms = spin.IterationsPerMs();
  const auto iterations = static_cast<uint64_t>(per_ms);
  spin.Launch(iterations);
  spin.Wait();
  printf("ready\n");
  fflush(stdout);
  int64_t flushed = 0;
  for (double done = 1; !g_end; done += 4) {
    const struct {
      int64_t at;
      double work;
    } entry = {Now(), done};
    fwrite(&entry, sizeof(entry), 1, log);
    if (entry.at - flushed > 20 * 1000 * 1000) {
      fflush(log);
      flushed = entry.at;
    }
    for (int i = 0; i < 4; ++i) spin.Launch(iterations);
    spin.Wait();
  }
  fclose(log);
  return 0;
}

// A driver may give memory only when it is used: so each buffer is.
int Memory(const char* nvml) {
  const Card card;
  unsigned char uuid[16];
  DO(clGetDeviceInfo(card.device, cl::CL_DEVICE_UUID_KHR, sizeof(uuid), uuid, nullptr));
  flexai::hardware::Held held;
  held.Open(nvml, uuid);
  for (int round = 0; round < 6; ++round) {
    std::vector<cl::cl_mem> buffers;
    const char* refused = "clCreateBuffer";
    cl::cl_int code = 0;
    for (;;) {
      const cl::cl_mem buffer = g_cl.clCreateBuffer(card.context, 0, 64 * kMiB, nullptr, &code);
      if (code != 0) break;
      buffers.push_back(buffer);
      const uint32_t pattern = 0x5a5a5a5a;
      refused = "clEnqueueFillBuffer";
      code = g_cl.clEnqueueFillBuffer(card.queue, buffer, &pattern, sizeof(pattern), 0, 64 * kMiB,
                                      0, nullptr, nullptr);
      if (code == 0) code = g_cl.clFinish(card.queue);
      if (code != 0) break;
      refused = "clCreateBuffer";
    }
    const size_t got = buffers.size() - (refused == std::string("clCreateBuffer") ? 0 : 1);
    printf("got %zu MiB, held %llu KiB, then %s: %d\n", got * 64,
           static_cast<unsigned long long>(held.Bytes() / 1024), refused, code);
    fflush(stdout);
    for (const cl::cl_mem buffer : buffers) DO(clReleaseMemObject(buffer));
    DO(clFinish(card.queue));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGTERM, &OnTerm);
  const std::string word = argc > 1 ? argv[1] : "";
  if (word == "calibrate") {
    const Card card;
    printf("%.1f\n", Spin(card).IterationsPerMs());
    return 0;
  }
  if (word == "memory" && argc > 2) return Memory(argv[2]);
  if (word == "run" && argc > 3) return Run(argv[2], atof(argv[3]));
  fprintf(stderr, "usage: see the head of card_opencl.cpp\n");
  return 2;
}
