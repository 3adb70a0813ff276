// A tenant whose work can be counted: kernels of one length (or a mix), back to back. Prints how
// many it did in a window of wall-clock time, so that programs started apart can be compared.
//   spin MS[,MS...] BATCH START_EPOCH SECONDS ITERATIONS_PER_MS    rate in the window
//   spin --calibrate    iterations a millisecond, card alone
// Work is counted in iterations, so that a kernel cut by the window's end counts by its part.
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <string>
#include <vector>

namespace {

const char* const kSource =
    "kernel void spin(global float* a, int n) {"
    "  float x = get_global_id(0) * 1e-3f, y = 1.0f;"
    "  for (int i = 0; i < n; i++) { x = x * 0.999f + y; y = y * 1.0001f - x * 1e-6f; }"
    "  a[get_global_id(0)] = x + y;"
    "}";

double Now() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
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
    Run(1, 1);
  }

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
  static constexpr size_t kItems = 8192, kGroup = 64;
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
  if (argc != 6) {
    fprintf(stderr, "usage: spin MS[,MS...] BATCH START_EPOCH SECONDS ITERATIONS_PER_MS\n");
    return 2;
  }
  const double per_ms = atof(argv[5]);
  std::vector<int> lengths;
  for (char* at = strtok(argv[1], ","); at; at = strtok(nullptr, ",")) {
    lengths.push_back(static_cast<int>(atof(at) * per_ms + 0.5));
  }
  const int batch = atoi(argv[2]);
  const double start = atof(argv[3]), end = start + atof(argv[4]);
  double done = 0;
  for (size_t i = 0;; ++i) {
    const int iterations = lengths[i % lengths.size()];
    const double before = Now();
    card.Run(iterations, batch);
    const double after = Now();
    // The part of this batch that lies in the window.
    const double low = before > start ? before : start, high = after < end ? after : end;
    if (high > low) done += iterations * batch * (high - low) / (after - before);
    if (after >= end) break;
  }
  printf("%.3f\n", done / per_ms / (end - start) / 1e3);
  return 0;
}
