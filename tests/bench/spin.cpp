// A tenant whose work can be counted: kernels of one length (or a mix), back to back, for ever.
//   spin MS[,MS...] BATCH ITERATIONS_PER_MS
// Each line on stdin is answered with the time in s and the card time of the work done so far in
// ms; it ends with stdin. Kernels count as they go, in memory that host and card share: what is
// done of a long kernel counts as well.
//   spin --calibrate    iterations a millisecond, card alone
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace {

const char* const kSource =
    "kernel void spin(global float* a, int n, global volatile uint* done) {"
    "  float x = get_global_id(0) * 1e-3f, y = 1.0f;"
    "  for (int i = 0; i < n; i++) { x = x * 0.999f + y; y = y * 1.0001f - x * 1e-6f; }"
    "  a[get_global_id(0)] = x + y;"
    "  if (get_local_id(0) == 0) atomic_add(done, (uint)n / 64);"
    "}";

constexpr size_t kItems = 8192, kGroup = 64;
constexpr int kStep = 64;  // iterations that count as one

double Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void Check(cl_int code, const char* what) {
  if (code == CL_SUCCESS) return;
  fprintf(stderr, "spin: %s failed with %d\n", what, code);
  exit(1);
}

class Card {
 public:
  Card() {
    cl_platform_id platform;
    cl_device_id device;
    cl_int code;
    Check(clGetPlatformIDs(1, &platform, nullptr), "clGetPlatformIDs");
    Check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr), "clGetDeviceIDs");
    cl_context context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &code);
    Check(code, "clCreateContext");
    queue_ = clCreateCommandQueueWithProperties(context, device, nullptr, &code);
    Check(code, "clCreateCommandQueueWithProperties");
    cl_program program =
        clCreateProgramWithSource(context, 1, const_cast<const char**>(&kSource), nullptr, &code);
    Check(code, "clCreateProgramWithSource");
    Check(clBuildProgram(program, 1, &device, "", nullptr, nullptr), "clBuildProgram");
    kernel_ = clCreateKernel(program, "spin", &code);
    Check(code, "clCreateKernel");
    buffer_ = clCreateBuffer(context, CL_MEM_READ_WRITE, kItems * sizeof(float), nullptr, &code);
    Check(code, "clCreateBuffer");
    Check(clSetKernelArg(kernel_, 0, sizeof(buffer_), &buffer_), "clSetKernelArg");
    cl_mem done = clCreateBuffer(context, CL_MEM_USE_HOST_PTR, sizeof(done_),
                                 const_cast<uint32_t*>(done_), &code);
    Check(code, "clCreateBuffer");
    Check(clSetKernelArg(kernel_, 2, sizeof(done), &done), "clSetKernelArg");
    Run(kStep, 1);
  }

  /// Iterations of the whole card so far, modulo 2^32 steps of a work group.
  double Done() const { return done_[0] * double{kStep} * kGroup / kItems; }

  /// `batch` kernels of `iterations`, then waits for them.
  void Run(int iterations, int batch) {
    Check(clSetKernelArg(kernel_, 1, sizeof(iterations), &iterations), "clSetKernelArg");
    for (int i = 0; i < batch; ++i) {
      Check(clEnqueueNDRangeKernel(queue_, kernel_, 1, nullptr, &kItems, &kGroup, 0, nullptr,
                                   nullptr),
            "clEnqueueNDRangeKernel");
    }
    Check(clFinish(queue_), "clFinish");
  }

 private:
  alignas(4096) volatile uint32_t done_[1024] = {};
  cl_command_queue queue_;
  cl_kernel kernel_;
  cl_mem buffer_;
};

// Iterations that take a millisecond on the free card: the best of some tries.
double Calibrate(Card& card) {
  double best = 0;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const double begin = Now();
    card.Run(4000, 1);
    const double rate = 4000 / ((Now() - begin) * 1e3);
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  Card card;
  if (argc == 2 && !strcmp(argv[1], "--calibrate")) {
    printf("%.1f\n", Calibrate(card));
    return 0;
  }
  if (argc != 4) {
    fprintf(stderr, "usage: spin MS[,MS...] BATCH ITERATIONS_PER_MS\n");
    return 2;
  }
  const double per_ms = atof(argv[3]);
  std::vector<int> lengths;
  for (char* at = strtok(argv[1], ","); at; at = strtok(nullptr, ",")) {
    lengths.push_back((static_cast<int>(atof(at) * per_ms) / kStep + 1) * kStep);
  }
  const int batch = atoi(argv[2]);
  std::thread([&card, per_ms] {
    while (getchar() != EOF) {
      const double done = card.Done();
      printf("%.6f %.3f\n", Now(), done / per_ms);
      fflush(stdout);
    }
    _exit(0);
  }).detach();
  for (size_t i = 0;; ++i) card.Run(lengths[i % lengths.size()], batch);
}
