// The conformance suite's card over OpenCL, reached as a program reaches it: through the loader,
// which finds drivers and layers by its own environment (OCL_ICD_VENDORS, OPENCL_LAYERS).
#include <dlfcn.h>

#include <map>
#include <mutex>

#include "flexai/fake/card_under_test.h"
#include "opencl/real.h"

namespace flexai::backend::opencl {
namespace {

namespace api = ::flexai::api::opencl;

constexpr const char* kKernels = R"(
kernel void flexai_fill(global uint* out, uint value) { out[get_global_id(0)] = value; }
kernel void flexai_add(global const uint* a, global const uint* b, global uint* c) {
  c[get_global_id(0)] = a[get_global_id(0)] + b[get_global_id(0)];
}
kernel void flexai_spin(global uint* out, uint rounds) {
  uint x = get_global_id(0);
  for (uint i = 0; i < rounds; ++i) x = x * 1664525u + 1013904223u;
  out[get_global_id(0)] = x;
}
)";

Status StatusOf(const char* function, int64_t code) {
  if (code == api::CL_SUCCESS) return Status();
  Code kind = Code::kInternal;
  if (code <= api::CL_INVALID_VALUE || code == api::CL_BUILD_PROGRAM_FAILURE ||
      code == api::CL_MEM_COPY_OVERLAP) {
    kind = Code::kInvalidArgument;
  }
  if (code == api::CL_INVALID_KERNEL_NAME) kind = Code::kNotFound;
  if (code == api::CL_MEM_OBJECT_ALLOCATION_FAILURE) kind = Code::kResourceExhausted;
  return Status(kind, std::string(function) + " returned " + std::to_string(code));
}

class OpenClCard : public fake::CardUnderTest {
 public:
  Status Open();
  ~OpenClCard() override;

  uint64_t TotalMemory() override { return Ask(api::CL_DEVICE_GLOBAL_MEM_SIZE); }
  uint64_t MostAllocation() override { return Ask(api::CL_DEVICE_MAX_MEM_ALLOC_SIZE); }

  Result<Memory> Allocate(uint64_t bytes) override {
    api::cl_int code = 0;
    const api::cl_mem mem =
        cl_.clCreateBuffer(context_, api::CL_MEM_READ_WRITE, bytes, nullptr, &code);
    if (code != 0) return StatusOf("clCreateBuffer", code);
    return reinterpret_cast<Memory>(mem);
  }
  Status Free(Memory memory) override {
    return StatusOf("clReleaseMemObject", cl_.clReleaseMemObject(Mem(memory)));
  }

  Status Write(Memory to, uint64_t offset, const void* from, uint64_t bytes, bool wait) override {
    return StatusOf(
        "clEnqueueWriteBuffer",
        cl_.clEnqueueWriteBuffer(queue_, Mem(to), wait, offset, bytes, from, 0, nullptr, nullptr));
  }
  Status Read(Memory from, uint64_t offset, void* to, uint64_t bytes, bool wait) override {
    return StatusOf("clEnqueueReadBuffer", cl_.clEnqueueReadBuffer(queue_, Mem(from), wait, offset,
                                                                   bytes, to, 0, nullptr, nullptr));
  }
  Status Copy(Memory to, uint64_t to_offset, Memory from, uint64_t from_offset,
              uint64_t bytes) override {
    return Waited("clEnqueueCopyBuffer",
                  cl_.clEnqueueCopyBuffer(queue_, Mem(from), Mem(to), from_offset, to_offset, bytes,
                                          0, nullptr, nullptr));
  }
  Status Fill(Memory to, uint32_t word, uint64_t offset, uint64_t bytes) override {
    return Waited("clEnqueueFillBuffer",
                  cl_.clEnqueueFillBuffer(queue_, Mem(to), &word, sizeof word, offset, bytes, 0,
                                          nullptr, nullptr));
  }

  Status Load(const std::string& source) override;
  std::string TestKernels() const override { return kKernels; }
  Status Launch(const std::string& kernel, const std::vector<Argument>& arguments,
                uint64_t items) override;
  Status Finish() override { return StatusOf("clFinish", cl_.clFinish(queue_)); }

 private:
  static api::cl_mem Mem(Memory memory) { return reinterpret_cast<api::cl_mem>(memory); }
  Status Waited(const char* function, int64_t code) {
    FLEXAI_RETURN_IF_ERROR(StatusOf(function, code));
    return Finish();
  }
  uint64_t Ask(int64_t question) {
    api::cl_ulong answer = 0;
    cl_.clGetDeviceInfo(device_, static_cast<api::cl_device_info>(question), sizeof answer, &answer,
                        nullptr);
    return answer;
  }

  api::Real cl_;
  api::cl_device_id device_ = nullptr;
  api::cl_context context_ = nullptr;
  api::cl_command_queue queue_ = nullptr;
  api::cl_program program_ = nullptr;
  std::mutex launch_mu_;  // a kernel's arguments are set before its launch, by one thread at a time
};

Status OpenClCard::Open() {
  void* loader = dlopen("libOpenCL.so.1", RTLD_NOW);
  if (!loader) return Status(Code::kUnavailable, "no OpenCL loader on this machine");
  for (const intercept::FnInfo& info : api::kFunctions) {
    api::AsTable(cl_)[info.index] = dlsym(loader, info.name);
  }
  api::cl_platform_id platform = nullptr;
  const auto all = static_cast<api::cl_device_type>(api::CL_DEVICE_TYPE_ALL);
  if (cl_.clGetPlatformIDs(1, &platform, nullptr) != 0 ||
      cl_.clGetDeviceIDs(platform, all, 1, &device_, nullptr) != 0) {
    return Status(Code::kUnavailable, "no OpenCL device on this machine");
  }
  api::cl_int code = 0;
  context_ = cl_.clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &code);
  FLEXAI_RETURN_IF_ERROR(StatusOf("clCreateContext", code));
  queue_ = cl_.clCreateCommandQueue(context_, device_, 0, &code);
  return StatusOf("clCreateCommandQueue", code);
}

OpenClCard::~OpenClCard() {
  if (program_) cl_.clReleaseProgram(program_);
  if (queue_) cl_.clReleaseCommandQueue(queue_);
  if (context_) cl_.clReleaseContext(context_);
}

Status OpenClCard::Load(const std::string& source) {
  const char* text = source.c_str();
  api::cl_int code = 0;
  api::cl_program program = cl_.clCreateProgramWithSource(context_, 1, &text, nullptr, &code);
  FLEXAI_RETURN_IF_ERROR(StatusOf("clCreateProgramWithSource", code));
  code = cl_.clBuildProgram(program, 0, nullptr, "", nullptr, nullptr);
  if (code != 0) {
    std::string log(1 << 16, 0);
    const auto question = static_cast<api::cl_program_build_info>(api::CL_PROGRAM_BUILD_LOG);
    cl_.clGetProgramBuildInfo(program, device_, question, log.size(), log.data(), nullptr);
    cl_.clReleaseProgram(program);
    const Status status = StatusOf("clBuildProgram", code);
    return Status(status.code(), std::string(status.message()), log.c_str());
  }
  if (program_) cl_.clReleaseProgram(program_);
  program_ = program;
  return Status();
}

Status OpenClCard::Launch(const std::string& name, const std::vector<Argument>& arguments,
                          uint64_t items) {
  std::lock_guard<std::mutex> lock(launch_mu_);
  api::cl_int code = 0;
  api::cl_kernel kernel = cl_.clCreateKernel(program_, name.c_str(), &code);
  FLEXAI_RETURN_IF_ERROR(StatusOf("clCreateKernel", code));
  const char* function = "clSetKernelArg";
  for (size_t i = 0; i < arguments.size() && code == 0; ++i) {
    const api::cl_mem mem = Mem(arguments[i].value);
    const auto number = static_cast<uint32_t>(arguments[i].value);
    code = arguments[i].is_memory
               ? cl_.clSetKernelArg(kernel, static_cast<api::cl_uint>(i), sizeof mem, &mem)
               : cl_.clSetKernelArg(kernel, static_cast<api::cl_uint>(i), sizeof number, &number);
  }
  if (code == 0) {
    function = "clEnqueueNDRangeKernel";
    const size_t size = items;
    code =
        cl_.clEnqueueNDRangeKernel(queue_, kernel, 1, nullptr, &size, nullptr, 0, nullptr, nullptr);
  }
  cl_.clReleaseKernel(kernel);
  return StatusOf(function, code);
}

}  // namespace
}  // namespace flexai::backend::opencl

namespace flexai::fake {

Result<std::unique_ptr<CardUnderTest>> OpenCardUnderTest() {
  auto card = std::make_unique<backend::opencl::OpenClCard>();
  FLEXAI_RETURN_IF_ERROR(card->Open());
  return std::unique_ptr<CardUnderTest>(std::move(card));
}

}  // namespace flexai::fake
