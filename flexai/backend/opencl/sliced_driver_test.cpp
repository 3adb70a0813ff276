// A slice of NVIDIA's card as an OpenCL program of this process meets it, on the fake driver under
// that vendor's name: what stops it, what the daemon sees of its work, what its contexts cost. Each
// case runs in a child, because a process has one slice.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>

#include "flexai/backend/opencl/doors.h"
#include "flexai/slice/lever.h"
#include "flexai/slice/pretend_daemon_test.h"
#include "flexai/slice/queue_watch.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kLimit = 512 * kMiB;
constexpr uint64_t kContext = 100 * kMiB;
// Of the fake driver's card (flexai/backend/nvidia/fake_cards.cpp).
constexpr char kUuid[] = "GPU-666c6578-6169-2d66-616b-652d63617264";

bool Until(const std::function<bool()>& what) {
  for (int waited = 0; waited < 20000 && !what(); ++waited) usleep(1000);  // poll
  return what();
}
/// Whether it stays so for a while.
bool Stays(const std::function<bool()>& what) {
  for (int waited = 0; waited < 100 && what(); ++waited) usleep(1000);  // poll
  return what();
}

template <class C>
typename C::Signature* Fn() {
  return reinterpret_cast<typename C::Signature*>(EntriesAt(0)[C::kIndex]);
}

class Program {
 public:
  explicit Program(uint64_t context_bytes = kContext) : daemon_(kLimit) {
    slice::RegionHeader& header = daemon_.region().header;
    strncpy(header.card_uuid, kUuid, sizeof(header.card_uuid) - 1);
    header.context_bytes = context_bytes;
    setenv("FLEXAI_FAKE_OPENCL", "nvidia", 1);
    // By its name the driver is known.
    char folder[] = "/tmp/flexai-sliced-driver-XXXXXX";
    if (!mkdtemp(folder)) abort();
    const std::string path = std::string(folder) + "/libnvidia-opencl.so.1";
    if (symlink(FLEXAI_FAKE_DRIVER, path.c_str()) != 0) abort();
    void* driver = dlopen(path.c_str(), RTLD_NOW);
    unlink(path.c_str());
    rmdir(folder);
    if (!driver) abort();
    api::Real real;
    for (const intercept::FnInfo& info : api::kFunctions) {
      api::AsTable(real)[info.index] = dlsym(driver, info.name);
    }
    bool fresh = false;
    OpenDoor(TakeDoor(intercept::DoorLevel::kOuter, &fresh), intercept::DoorLevel::kOuter, real);
    EXPECT_EQ(Fn<api::ClGetPlatformIDsCall>()(1, &platform_, nullptr), 0);
    EXPECT_EQ(
        Fn<api::ClGetDeviceIDsCall>()(platform_, api::CL_DEVICE_TYPE_GPU, 1, &device_, nullptr), 0);
    EXPECT_EQ(daemon_.attached(), 1);
  }

  slice::RegionHeader& header() { return daemon_.region().header; }
  slice::ProcessSlot& slot() { return daemon_.region().slots[0]; }
  void BookWhenCompared(uint64_t bytes) { daemon_.BookWhenCompared(bytes); }
  uint64_t used() { return slice::UsedBytes(daemon_.region()); }
  bool full() { return (slot().queues & slice::QueueWatch::kFull) != 0; }

  void Hold(bool hold) {
    header().gate = slice::NextGate(header().gate, hold ? slice::kGateHeld : 0);
    slice::FutexWake(header().gate);
    EXPECT_TRUE(Until([&] { return slot().obeyed == header().gate; }));
  }
  api::cl_context MakeContext(api::cl_int expected = 0) {
    api::cl_int code = 0;
    const api::cl_context context =
        Fn<api::ClCreateContextCall>()(nullptr, 1, &device_, nullptr, nullptr, &code);
    EXPECT_EQ(code, expected);
    return context;
  }
  static void Give(api::cl_context context) {
    EXPECT_EQ(Fn<api::ClReleaseContextCall>()(context), 0);
  }
  api::cl_command_queue MakeQueue(api::cl_context context, bool in_order = true) {
    api::cl_int code = 0;
    const auto flags =
        static_cast<api::cl_ulong>(in_order ? 0 : api::CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    const api::cl_command_queue queue =
        Fn<api::ClCreateCommandQueueCall>()(context, device_, flags, &code);
    EXPECT_EQ(code, 0);
    return queue;
  }
  static api::cl_mem MakeBuffer(api::cl_context context, uint64_t bytes, api::cl_int expected = 0) {
    api::cl_int code = 0;
    const api::cl_mem mem = Fn<api::ClCreateBufferCall>()(context, 0, bytes, nullptr, &code);
    EXPECT_EQ(code, expected);
    return mem;
  }
  static api::cl_kernel MakeKernel(api::cl_context context) {
    const char* source = "__kernel void nothing(void) {}";
    api::cl_int code = 0;
    const api::cl_program program =
        Fn<api::ClCreateProgramWithSourceCall>()(context, 1, &source, nullptr, &code);
    EXPECT_EQ(Fn<api::ClBuildProgramCall>()(program, 0, nullptr, nullptr, nullptr, nullptr), 0);
    const api::cl_kernel kernel = Fn<api::ClCreateKernelCall>()(program, "nothing", &code);
    EXPECT_EQ(code, 0);
    return kernel;
  }
  static api::cl_event Launch(api::cl_command_queue queue, api::cl_kernel kernel) {
    const size_t items = 64;
    api::cl_event event = nullptr;
    EXPECT_EQ(Fn<api::ClEnqueueNDRangeKernelCall>()(queue, kernel, 1, nullptr, &items, nullptr, 0,
                                                    nullptr, &event),
              0);
    EXPECT_EQ(Fn<api::ClFlushCall>()(queue), 0);
    return event;
  }
  static api::cl_int StatusOf(api::cl_event event) {
    api::cl_int status = 1;
    Real().clGetEventInfo(event, api::CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status,
                          nullptr);
    return status;
  }

 private:
  slice::PretendDaemon daemon_;
  api::cl_platform_id platform_ = nullptr;
  api::cl_device_id device_ = nullptr;
};

// Runs `body` in a child and fails with what it said.
#define IN_CHILD(body)                              \
  EXPECT_EXIT(                                      \
      {                                             \
        [] body();                                  \
        fflush(stdout);                             \
        _exit(testing::Test::HasFailure() ? 1 : 0); \
      },                                            \
      testing::ExitedWithCode(0), "")

TEST(SlicedDriver, ChannelsAreTheLever) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    EXPECT_EQ(program.slot().lever, static_cast<uint32_t>(slice::LeverKind::kFreeze));
    EXPECT_EQ(program.slot().workers, 8u) << "channels of the fake driver";
    const api::cl_command_queue queue = program.MakeQueue(context);
    const api::cl_kernel kernel = Program::MakeKernel(context);
    program.Hold(true);
    const api::cl_event event = Program::Launch(queue, kernel);
    EXPECT_TRUE(Stays([&] { return Program::StatusOf(event) != api::CL_COMPLETE; }));
    program.Hold(false);
    EXPECT_TRUE(Until([&] { return Program::StatusOf(event) == api::CL_COMPLETE; }));
  });
}

TEST(SlicedDriver, WaitsEmptyTheQueues) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    const api::cl_command_queue queue = program.MakeQueue(context);
    const api::cl_kernel kernel = Program::MakeKernel(context);
    const api::cl_mem buffer = Program::MakeBuffer(context, 4096);
    EXPECT_NE(program.slot().queues & slice::QueueWatch::kTells, 0u);
    EXPECT_FALSE(program.full());

    Program::Launch(queue, kernel);
    EXPECT_TRUE(program.full());
    EXPECT_EQ(Fn<api::ClFinishCall>()(queue), 0);
    EXPECT_FALSE(program.full());

    Program::Launch(queue, kernel);
    int word = 0;
    EXPECT_EQ(Fn<api::ClEnqueueReadBufferCall>()(queue, buffer, 1, 0, sizeof(word), &word, 0,
                                                 nullptr, nullptr),
              0);
    EXPECT_FALSE(program.full()) << "a blocking read";

    EXPECT_EQ(Fn<api::ClEnqueueFillBufferCall>()(queue, buffer, &word, sizeof(word), 0, 4096, 0,
                                                 nullptr, nullptr),
              0);
    EXPECT_TRUE(program.full()) << "a fill is work, too";
    const api::cl_event first = Program::Launch(queue, kernel);
    const api::cl_event last = Program::Launch(queue, kernel);
    EXPECT_EQ(Fn<api::ClWaitForEventsCall>()(1, &first), 0);
    EXPECT_EQ(Fn<api::ClWaitForEventsCall>()(1, &last), 0);
    EXPECT_FALSE(program.full()) << "a wait for the last";

    const api::cl_event asked = Program::Launch(queue, kernel);
    EXPECT_TRUE(Until([&] {
      api::cl_int status = 1;
      Fn<api::ClGetEventInfoCall>()(asked, api::CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status),
                                    &status, nullptr);
      return status == api::CL_COMPLETE;
    }));
    EXPECT_FALSE(program.full()) << "a question";

    const api::cl_event told = Program::Launch(queue, kernel);
    EXPECT_EQ(Fn<api::ClSetEventCallbackCall>()(
                  told, api::CL_COMPLETE, [](api::cl_event, api::cl_int, void*) {}, nullptr),
              0);
    EXPECT_TRUE(Until([&] { return !program.full(); })) << "a callback";
  });
}

TEST(SlicedDriver, WhatIsNotKnownToBeDoneIsWork) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    const api::cl_command_queue queue = program.MakeQueue(context, /*in_order=*/false);
    const api::cl_kernel kernel = Program::MakeKernel(context);
    program.Hold(true);
    Program::Launch(queue, kernel);
    const api::cl_event marker = Program::Launch(queue, kernel);
    program.Hold(false);
    EXPECT_TRUE(Until([&] { return Program::StatusOf(marker) == api::CL_COMPLETE; }));
    EXPECT_TRUE(program.full()) << "nobody has waited";
    EXPECT_EQ(Fn<api::ClFinishCall>()(queue), 0);
    EXPECT_FALSE(program.full());
  });
}

TEST(SlicedDriver, AQueueThatIsGivenUpWorksOn) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    const api::cl_command_queue queue = program.MakeQueue(context);
    const api::cl_kernel kernel = Program::MakeKernel(context);
    program.Hold(true);
    Program::Launch(queue, kernel);
    EXPECT_EQ(Fn<api::ClReleaseCommandQueueCall>()(queue), 0);
    EXPECT_TRUE(Stays([&] { return program.full(); }));
    program.Hold(false);
    EXPECT_TRUE(Until([&] { return !program.full(); }));
  });
}

TEST(SlicedDriver, AQueueBehindAnotherIsAsked) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    const api::cl_command_queue first = program.MakeQueue(context);
    const api::cl_command_queue second = program.MakeQueue(context);
    const api::cl_kernel kernel = Program::MakeKernel(context);
    Program::Launch(first, kernel);
    EXPECT_TRUE(program.full());
    EXPECT_TRUE(Until([&] {
      Program::Launch(second, kernel);
      EXPECT_EQ(Fn<api::ClFinishCall>()(second), 0);
      return !program.full();
    }));
  });
}

TEST(SlicedDriver, ContextsAreCharged) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    EXPECT_EQ(program.used(), kContext);
    Program::MakeBuffer(context, kLimit - kContext + 1, api::CL_MEM_OBJECT_ALLOCATION_FAILURE);
    const api::cl_mem rest = Program::MakeBuffer(context, 200 * kMiB);
    const api::cl_context second = program.MakeContext();
    EXPECT_EQ(program.used(), 2 * kContext + 200 * kMiB);
    Program::Give(second);
    EXPECT_EQ(program.used(), kContext + 200 * kMiB);
    Program::Give(context);
    EXPECT_EQ(program.used(), kContext + 200 * kMiB) << "a buffer keeps it";
    EXPECT_EQ(Fn<api::ClReleaseMemObjectCall>()(rest), 0);
    EXPECT_EQ(program.used(), 0u);
  });
}

// Once the driver was asked, what it says of the process stands for what was expected of the
// context; and what it said while it kept a block that was given back refuses nobody.
TEST(SlicedDriver, WhatAContextTakesIsTheDriversToTell) {
  IN_CHILD({
    Program program;
    const api::cl_context context = program.MakeContext();
    EXPECT_EQ(program.slot().used, 0u);
    program.slot().booked = kContext + 10 * kMiB;
    program.slot().measures += 2;
    Program::MakeBuffer(context, 200 * kMiB);
    EXPECT_EQ(program.used(), kContext + 210 * kMiB);
    program.slot().booked = kContext + 64 * kMiB;
    program.BookWhenCompared(kContext + 10 * kMiB);
    Program::MakeBuffer(context, kLimit - kContext - 210 * kMiB);
    EXPECT_EQ(program.used(), kLimit);
  });
}

TEST(SlicedDriver, AContextThatDoesNotFitIsRefused) {
  IN_CHILD({
    Program program(kLimit + 1);
    EXPECT_EQ(program.MakeContext(api::CL_MEM_OBJECT_ALLOCATION_FAILURE), nullptr);
    EXPECT_EQ(program.used(), 0u);
  });
}

}  // namespace
}  // namespace flexai::backend::opencl
