// The fake OpenCL driver through the real loader: what the neutral conformance suite does not ask
// for, and what only a fake can promise (exact time, faults).
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <string>
#include <vector>

#include "flexai/base/clock.h"
#include "opencl/real.h"

namespace flexai::backend::opencl {
namespace {

namespace cl = ::flexai::api::opencl;

class FakeDriver : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OCL_ICD_VENDORS", FLEXAI_FAKE_DRIVER, 1);
    setenv("FLEXAI_FAKE_LAUNCH_NS", "1000", 1);
    setenv("FLEXAI_FAKE_ITEM_NS", "1000000000", 1);  // a second of card time for each item
    setenv("FLEXAI_FAKE_FAULTS", "clFlush@2=-36,clEnqueueBarrier=-5", 1);
    void* loader = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (!loader) return;
    for (const intercept::FnInfo& info : cl::kFunctions) {
      cl::AsTable(cl_)[info.index] = dlsym(loader, info.name);
    }
  }
  void SetUp() override {
    if (!cl_.clGetPlatformIDs) GTEST_SKIP() << "no OpenCL loader on this machine";
    ASSERT_EQ(cl_.clGetPlatformIDs(1, &platform_, nullptr), 0);
    ASSERT_EQ(cl_.clGetDeviceIDs(platform_, cl::CL_DEVICE_TYPE_ALL, 1, &device_, nullptr), 0);
    context_ = cl_.clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &code_);
    queue_ = cl_.clCreateCommandQueue(context_, device_, cl::CL_QUEUE_PROFILING_ENABLE, &code_);
    ASSERT_EQ(code_, 0);
  }
  void TearDown() override {
    if (!queue_) return;
    EXPECT_EQ(cl_.clFinish(queue_), 0);
    EXPECT_EQ(cl_.clReleaseCommandQueue(queue_), 0);
    EXPECT_EQ(cl_.clReleaseContext(context_), 0);
  }
  cl::cl_mem Buffer(size_t size) {
    cl::cl_mem mem = cl_.clCreateBuffer(context_, 0, size, nullptr, &code_);
    EXPECT_EQ(code_, 0);
    return mem;
  }
  cl::cl_kernel Kernel(const char* source, const char* name) {
    cl::cl_program program = cl_.clCreateProgramWithSource(context_, 1, &source, nullptr, &code_);
    EXPECT_EQ(cl_.clBuildProgram(program, 0, nullptr, nullptr, nullptr, nullptr), 0);
    cl::cl_kernel kernel = cl_.clCreateKernel(program, name, &code_);
    EXPECT_EQ(code_, 0);
    EXPECT_EQ(cl_.clReleaseProgram(program), 0);  // the kernel keeps it
    return kernel;
  }
  uint64_t Time(cl::cl_event event, int64_t question) {
    cl::cl_ulong time = 0;
    EXPECT_EQ(cl_.clGetEventProfilingInfo(event, static_cast<cl::cl_uint>(question), sizeof time,
                                          &time, nullptr),
              0);
    return time;
  }

  static cl::Real cl_;
  cl::cl_platform_id platform_ = nullptr;
  cl::cl_device_id device_ = nullptr;
  cl::cl_context context_ = nullptr;
  cl::cl_command_queue queue_ = nullptr;
  cl::cl_int code_ = 0;
};
cl::Real FakeDriver::cl_;

TEST_F(FakeDriver, LaunchesTakeExactlyTheirTimeOnTheCardsClock) {
  cl::cl_kernel kernel = Kernel("__kernel void nothing(void) {}", "nothing");
  const size_t items = 7200;  // on two units: an hour
  cl::cl_event event = nullptr;
  const Nanos before = MonotonicNow();
  ASSERT_EQ(
      cl_.clEnqueueNDRangeKernel(queue_, kernel, 1, nullptr, &items, nullptr, 0, nullptr, &event),
      0);
  ASSERT_EQ(cl_.clWaitForEvents(1, &event), 0);
  EXPECT_LT(MonotonicNow() - before, 600 * kSecond);
  EXPECT_EQ(Time(event, cl::CL_PROFILING_COMMAND_END) - Time(event, cl::CL_PROFILING_COMMAND_START),
            3600 * static_cast<uint64_t>(kSecond) + 1000);
  EXPECT_EQ(cl_.clReleaseEvent(event), 0);
  EXPECT_EQ(cl_.clReleaseKernel(kernel), 0);
}

TEST_F(FakeDriver, UserEventsHoldWorkBackAndTheirErrorsReachIt) {
  cl::cl_mem mem = Buffer(64);
  for (const cl::cl_int status : {0, -7}) {
    cl::cl_event gate = cl_.clCreateUserEvent(context_, &code_);
    cl::cl_event done = nullptr;
    const uint32_t word = 5;
    ASSERT_EQ(cl_.clEnqueueFillBuffer(queue_, mem, &word, 4, 0, 64, 1, &gate, &done), 0);
    std::atomic<int> seen{99};
    const auto notify = [](cl::cl_event, cl::cl_int code, void* data) {
      static_cast<std::atomic<int>*>(data)->store(code);
    };
    ASSERT_EQ(cl_.clSetEventCallback(done, cl::CL_COMPLETE, notify, &seen), 0);
    cl::cl_int now = 0;
    cl_.clGetEventInfo(done, cl::CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof now, &now, nullptr);
    EXPECT_EQ(now, cl::CL_QUEUED);
    EXPECT_EQ(seen, 99);
    ASSERT_EQ(cl_.clSetUserEventStatus(gate, status), 0);
    EXPECT_EQ(cl_.clSetUserEventStatus(gate, 0), cl::CL_INVALID_OPERATION);
    const int64_t wanted =
        status ? cl::CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST : cl::CL_SUCCESS;
    EXPECT_EQ(cl_.clWaitForEvents(1, &done), wanted);
    const Nanos deadline = MonotonicNow() + 10 * kSecond;
    while (seen == 99 && MonotonicNow() < deadline) {
    }
    EXPECT_EQ(seen, wanted);
    cl_.clReleaseEvent(gate);
    cl_.clReleaseEvent(done);
  }
  EXPECT_EQ(cl_.clReleaseMemObject(mem), 0);
}

TEST_F(FakeDriver, SubBuffersAndMapsShareTheirParentsBytes) {
  cl::cl_mem mem = Buffer(1024);
  const cl::cl_buffer_region region = {256, 512};
  cl::cl_mem sub = cl_.clCreateSubBuffer(mem, 0, cl::CL_BUFFER_CREATE_TYPE_REGION, &region, &code_);
  ASSERT_EQ(code_, 0);
  const cl::cl_buffer_region crooked = {3, 512};
  EXPECT_EQ(cl_.clCreateSubBuffer(mem, 0, cl::CL_BUFFER_CREATE_TYPE_REGION, &crooked, &code_),
            nullptr);
  EXPECT_EQ(code_, cl::CL_MISALIGNED_SUB_BUFFER_OFFSET);
  auto* at = static_cast<char*>(cl_.clEnqueueMapBuffer(queue_, mem, 1, cl::CL_MAP_WRITE, 256, 8, 0,
                                                       nullptr, nullptr, &code_));
  ASSERT_EQ(code_, 0);
  memcpy(at, "flexai", 7);
  EXPECT_EQ(cl_.clEnqueueUnmapMemObject(queue_, mem, at, 0, nullptr, nullptr), 0);
  EXPECT_EQ(cl_.clEnqueueUnmapMemObject(queue_, mem, at, 0, nullptr, nullptr),
            cl::CL_INVALID_VALUE);
  // The parent's bytes live as long as the part.
  EXPECT_EQ(cl_.clReleaseMemObject(mem), 0);
  char back[8] = {};
  EXPECT_EQ(cl_.clEnqueueReadBuffer(queue_, sub, 1, 0, 8, back, 0, nullptr, nullptr), 0);
  EXPECT_STREQ(back, "flexai");
  EXPECT_EQ(cl_.clReleaseMemObject(sub), 0);
  // A loader follows any handle; the driver itself knows that this one is gone.
  void* driver = dlopen(FLEXAI_FAKE_DRIVER, RTLD_NOW);
  auto* release =
      reinterpret_cast<decltype(cl::Real::clReleaseMemObject)>(dlsym(driver, "clReleaseMemObject"));
  ASSERT_NE(release, nullptr);
  EXPECT_EQ(release(sub), cl::CL_INVALID_MEM_OBJECT);
}

TEST_F(FakeDriver, ImagesKeepTheirPixels) {
  const cl::cl_image_format format = {cl::CL_RGBA, cl::CL_UNSIGNED_INT8};
  cl::cl_image_desc desc = {};
  desc.image_type = cl::CL_MEM_OBJECT_IMAGE2D;
  desc.image_width = 16;
  desc.image_height = 8;
  cl::cl_mem image = cl_.clCreateImage(context_, 0, &format, &desc, nullptr, &code_);
  ASSERT_EQ(code_, 0);
  size_t size = 0;
  EXPECT_EQ(cl_.clGetMemObjectInfo(image, cl::CL_MEM_SIZE, sizeof size, &size, nullptr), 0);
  EXPECT_EQ(size, 16u * 8 * 4);
  std::vector<uint32_t> pixels(16 * 8), back(4 * 2);
  for (uint32_t i = 0; i < pixels.size(); ++i) pixels[i] = i;
  const size_t zero[3] = {0, 0, 0}, all[3] = {16, 8, 1}, at[3] = {3, 5, 0}, part[3] = {4, 2, 1};
  EXPECT_EQ(cl_.clEnqueueWriteImage(queue_, image, 1, zero, all, 0, 0, pixels.data(), 0, nullptr,
                                    nullptr),
            0);
  EXPECT_EQ(
      cl_.clEnqueueReadImage(queue_, image, 1, at, part, 0, 0, back.data(), 0, nullptr, nullptr),
      0);
  EXPECT_EQ(back[0], 5u * 16 + 3);
  EXPECT_EQ(back[7], 6u * 16 + 6);
  const size_t outside[3] = {14, 5, 0};
  EXPECT_EQ(cl_.clEnqueueReadImage(queue_, image, 1, outside, part, 0, 0, back.data(), 0, nullptr,
                                   nullptr),
            cl::CL_INVALID_VALUE);
  EXPECT_EQ(cl_.clReleaseMemObject(image), 0);
}

TEST_F(FakeDriver, SvmAndPipesAreChargedLikeBuffers) {
  cl::cl_ulong total = 0;
  cl_.clGetDeviceInfo(device_, cl::CL_DEVICE_GLOBAL_MEM_SIZE, sizeof total, &total, nullptr);
  std::vector<void*> pieces;
  for (int i = 0; i < 3; ++i) pieces.push_back(cl_.clSVMAlloc(context_, 0, total / 4, 0));
  for (void* piece : pieces) EXPECT_NE(piece, nullptr);
  cl::cl_mem pipe = cl_.clCreatePipe(context_, 0, 1 << 10, static_cast<cl::cl_uint>(total >> 12),
                                     nullptr, &code_);
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(cl_.clCreateBuffer(context_, 0, 1, nullptr, &code_), nullptr);
  EXPECT_EQ(code_, cl::CL_MEM_OBJECT_ALLOCATION_FAILURE);
  EXPECT_EQ(cl_.clSVMAlloc(context_, 0, 1, 0), nullptr);
  for (void* piece : pieces) cl_.clSVMFree(context_, piece);
  EXPECT_EQ(cl_.clReleaseMemObject(pipe), 0);
  EXPECT_EQ(cl_.clReleaseMemObject(Buffer(total / 4)), 0);
}

TEST_F(FakeDriver, KernelsSayWhatTheirSourceDeclares) {
  cl::cl_kernel kernel = Kernel(
      "// kernel void not_this(int a) {}\n"
      "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void two(__global float4* out,\n"
      "  __local int* scratch, const float4 by, ulong n) { }",
      "two");
  cl::cl_uint count = 0;
  EXPECT_EQ(cl_.clGetKernelInfo(kernel, cl::CL_KERNEL_NUM_ARGS, sizeof count, &count, nullptr), 0);
  EXPECT_EQ(count, 4u);
  const float by[4] = {};
  cl::cl_mem mem = Buffer(16);
  const size_t one = 1;
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 0, sizeof mem, &mem), 0);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 0, 4, &mem), cl::CL_INVALID_ARG_SIZE);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 1, 64, nullptr), 0);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 1, 64, by), cl::CL_INVALID_ARG_VALUE);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 2, sizeof by, by), 0);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 4, 4, by), cl::CL_INVALID_ARG_INDEX);
  EXPECT_EQ(
      cl_.clEnqueueNDRangeKernel(queue_, kernel, 1, nullptr, &one, nullptr, 0, nullptr, nullptr),
      cl::CL_INVALID_KERNEL_ARGS);
  EXPECT_EQ(cl_.clSetKernelArg(kernel, 3, 8, by), 0);
  EXPECT_EQ(
      cl_.clEnqueueNDRangeKernel(queue_, kernel, 1, nullptr, &one, nullptr, 0, nullptr, nullptr),
      0);
  EXPECT_EQ(cl_.clReleaseKernel(kernel), 0);
  EXPECT_EQ(cl_.clReleaseMemObject(mem), 0);
}

TEST_F(FakeDriver, FaultsComeWhereTheyWereAskedFor) {
  EXPECT_EQ(cl_.clFlush(queue_), 0);
  EXPECT_EQ(cl_.clFlush(queue_), cl::CL_INVALID_COMMAND_QUEUE);
  EXPECT_EQ(cl_.clFlush(queue_), 0);
  EXPECT_EQ(cl_.clEnqueueBarrier(queue_), cl::CL_OUT_OF_RESOURCES);
}

}  // namespace
}  // namespace flexai::backend::opencl
