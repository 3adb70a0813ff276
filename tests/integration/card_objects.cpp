#include "tests/integration/card_objects.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace flexai::tests {
namespace {

struct Card {
  cl_platform_id platform = nullptr;
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;

  Card() {
    if (clGetPlatformIDs(1, &platform, nullptr) != CL_SUCCESS) return;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr) != CL_SUCCESS) return;
    context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, nullptr);
    queue = clCreateCommandQueueWithProperties(context, device, nullptr, nullptr);
  }
};

// Made at the first use and never given back, as in many a program.
Card& TheCard() {
  static auto* card = new Card;
  return *card;
}

template <typename Function>
Function Extension(const char* name) {
  return reinterpret_cast<Function>(
      clGetExtensionFunctionAddressForPlatform(TheCard().platform, name));
}

Object Memory(cl_mem memory, cl_int error) { return {memory, ObjectKind::kMemory, error}; }

const cl_image_format kFormat = {CL_RGBA, CL_UNSIGNED_INT8};

// Sizes of an image with `bytes` bytes of 4-byte pixels, within what drivers must offer.
struct Shape {
  size_t width, height, depth;
};
Shape Flat(size_t bytes) {
  const size_t width = std::min<size_t>(bytes / 4, 8192);
  return {width, bytes / 4 / width, 1};
}
Shape Deep(size_t bytes) {
  const size_t width = std::min<size_t>(bytes / 4, 1024);
  const size_t height = std::min<size_t>(bytes / 4 / width, 256);
  return {width, height, bytes / 4 / width / height};
}

Object CreateBuffer(size_t bytes) {
  cl_int error = 0;
  const cl_mem made = clCreateBuffer(TheCard().context, CL_MEM_READ_WRITE, bytes, nullptr, &error);
  return Memory(made, error);
}

Object CreateImage2D(size_t bytes) {
  cl_int error = 0;
  const Shape s = Flat(bytes);
  const cl_mem made = clCreateImage2D(TheCard().context, CL_MEM_READ_WRITE, &kFormat, s.width,
                                      s.height, 0, nullptr, &error);
  return Memory(made, error);
}

Object CreateImage3D(size_t bytes) {
  cl_int error = 0;
  const Shape s = Deep(bytes);
  const cl_mem made = clCreateImage3D(TheCard().context, CL_MEM_READ_WRITE, &kFormat, s.width,
                                      s.height, s.depth, 0, 0, nullptr, &error);
  return Memory(made, error);
}

cl_image_desc Describe(cl_mem_object_type type, size_t bytes) {
  cl_image_desc desc = {};
  desc.image_type = type;
  const bool deep = type == CL_MEM_OBJECT_IMAGE3D || type == CL_MEM_OBJECT_IMAGE2D_ARRAY;
  const Shape s = deep ? Deep(bytes) : Flat(bytes);
  desc.image_width = s.width;
  if (type == CL_MEM_OBJECT_IMAGE1D_ARRAY) {
    desc.image_array_size = s.height;
  } else {
    desc.image_height = s.height;
  }
  if (type == CL_MEM_OBJECT_IMAGE3D) desc.image_depth = s.depth;
  if (type == CL_MEM_OBJECT_IMAGE2D_ARRAY) desc.image_array_size = s.depth;
  return desc;
}

template <cl_mem_object_type type, size_t unused = 0>
Object CreateImage(size_t bytes) {
  cl_int error = 0;
  cl_image_desc desc = Describe(type, bytes);
  // What a program leaves in fields that this type of image does not use counts for nothing.
  if (unused != 0) desc.image_depth = desc.image_array_size = unused;
  const cl_mem made =
      clCreateImage(TheCard().context, CL_MEM_READ_WRITE, &kFormat, &desc, nullptr, &error);
  return Memory(made, error);
}

Object CreateImageWithProperties(size_t bytes) {
  cl_int error = 0;
  const cl_image_desc desc = Describe(CL_MEM_OBJECT_IMAGE2D, bytes);
  const cl_mem made = clCreateImageWithProperties(TheCard().context, nullptr, CL_MEM_READ_WRITE,
                                                  &kFormat, &desc, nullptr, &error);
  return Memory(made, error);
}

Object CreatePipe(size_t bytes) {
  cl_int error = 0;
  const cl_mem made = clCreatePipe(TheCard().context, CL_MEM_READ_WRITE, 4,
                                   static_cast<cl_uint>(bytes / 4), nullptr, &error);
  return Memory(made, error);
}

Object CreateBufferWithProperties(size_t bytes) {
  cl_int error = 0;
  const cl_mem made = clCreateBufferWithProperties(TheCard().context, nullptr, CL_MEM_READ_WRITE,
                                                   bytes, nullptr, &error);
  return Memory(made, error);
}

Object CreateBufferWithPropertiesIntel(size_t bytes) {
  using Function = cl_mem (*)(cl_context, const cl_bitfield*, cl_mem_flags, size_t, void*, cl_int*);
  const auto create = Extension<Function>("clCreateBufferWithPropertiesINTEL");
  cl_int error = CL_INVALID_OPERATION;
  if (!create) return Memory(nullptr, error);
  const cl_mem made = create(TheCard().context, nullptr, CL_MEM_READ_WRITE, bytes, nullptr, &error);
  return Memory(made, error);
}

Object SvmAlloc(size_t bytes) {
  return {clSVMAlloc(TheCard().context, CL_MEM_READ_WRITE, bytes, 0), ObjectKind::kShared, 0};
}

Object SvmAllocArm(size_t bytes) {
  using Function = void* (*)(cl_context, cl_bitfield, size_t, cl_uint);
  const auto create = Extension<Function>("clSVMAllocARM");
  void* made = create ? create(TheCard().context, CL_MEM_READ_WRITE, bytes, 0) : nullptr;
  return {made, ObjectKind::kSharedByExtension, 0};
}

Object HostMemAlloc(size_t bytes) {
  using Function = void* (*)(cl_context, const cl_bitfield*, size_t, cl_uint, cl_int*);
  const auto create = Extension<Function>("clHostMemAllocINTEL");
  cl_int error = CL_INVALID_OPERATION;
  void* made = create ? create(TheCard().context, nullptr, bytes, 0, &error) : nullptr;
  return {made, ObjectKind::kUnified, error};
}

Object UnifiedAlloc(const char* name, size_t bytes) {
  using Function =
      void* (*)(cl_context, cl_device_id, const cl_bitfield*, size_t, cl_uint, cl_int*);
  const auto create = Extension<Function>(name);
  cl_int error = CL_INVALID_OPERATION;
  void* made =
      create ? create(TheCard().context, TheCard().device, nullptr, bytes, 0, &error) : nullptr;
  return {made, ObjectKind::kUnified, error};
}
Object DeviceMemAlloc(size_t bytes) { return UnifiedAlloc("clDeviceMemAllocINTEL", bytes); }
Object SharedMemAlloc(size_t bytes) { return UnifiedAlloc("clSharedMemAllocINTEL", bytes); }

struct Row {
  const char* name;
  Object (*allocate)(size_t bytes);
};
constexpr Row kRows[] = {
    {"clCreateBuffer", CreateBuffer},
    {"clCreateBufferWithProperties", CreateBufferWithProperties},
    {"clCreateBufferWithPropertiesINTEL", CreateBufferWithPropertiesIntel},
    {"clCreateImage", CreateImage<CL_MEM_OBJECT_IMAGE2D>},
    {"clCreateImage:unused_fields", CreateImage<CL_MEM_OBJECT_IMAGE2D, 7>},
    {"clCreateImage:3d", CreateImage<CL_MEM_OBJECT_IMAGE3D>},
    {"clCreateImage:1d_array", CreateImage<CL_MEM_OBJECT_IMAGE1D_ARRAY>},
    {"clCreateImage:2d_array", CreateImage<CL_MEM_OBJECT_IMAGE2D_ARRAY>},
    {"clCreateImage2D", CreateImage2D},
    {"clCreateImage3D", CreateImage3D},
    {"clCreateImageWithProperties", CreateImageWithProperties},
    {"clCreatePipe", CreatePipe},
    {"clSVMAlloc", SvmAlloc},
    {"clSVMAllocARM", SvmAllocArm},
    {"clHostMemAllocINTEL", HostMemAlloc},
    {"clDeviceMemAllocINTEL", DeviceMemAlloc},
    {"clSharedMemAllocINTEL", SharedMemAlloc},
};

cl_mem AsMemory(const Object& object) { return static_cast<cl_mem>(object.handle); }

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// A kernel that computes for some milliseconds and writes 1 KiB. The fake card knows it by its
// name.
class Spinner {
 public:
  Spinner() {
    static const char* source =
        "kernel void flexai_spin(global uint* out, uint rounds) {"
        "  uint x = get_global_id(0);"
        "  for (uint i = 0; i < rounds; ++i) x = x * 1664525u + 1013904223u;"
        "  out[get_global_id(0)] = x; }";
    const Card& card = TheCard();
    cl_int error = 0;
    const cl_program program = clCreateProgramWithSource(card.context, 1, &source, nullptr, &error);
    if (clBuildProgram(program, 1, &card.device, "", nullptr, nullptr) != CL_SUCCESS) return;
    kernel_ = clCreateKernel(program, "flexai_spin", &error);
  }

  /// Whether it came to its end.
  bool Launch(cl_mem out) const {
    const cl_uint rounds = 20000;
    const size_t items = 256;
    clSetKernelArg(kernel_, 0, sizeof(out), &out);
    clSetKernelArg(kernel_, 1, sizeof(rounds), &rounds);
    const cl_command_queue queue = TheCard().queue;
    const bool done = clEnqueueNDRangeKernel(queue, kernel_, 1, nullptr, &items, nullptr, 0,
                                             nullptr, nullptr) == CL_SUCCESS &&
                      clFinish(queue) == CL_SUCCESS;
    // A driver may keep what a kernel was given, until it is given something else.
    const cl_mem none = nullptr;
    clSetKernelArg(kernel_, 0, sizeof(none), &none);
    return done;
  }

 private:
  cl_kernel kernel_ = nullptr;
};

const Spinner& TheSpinner() {
  static const auto* spinner = new Spinner;
  return *spinner;
}

}  // namespace

std::vector<const char*> Rows() {
  std::vector<const char*> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

Object Allocate(const std::string& name, size_t bytes) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.allocate(bytes);
  }
  return {nullptr, ObjectKind::kMemory, CL_INVALID_VALUE};
}

int Retain(const Object& object) { return clRetainMemObject(AsMemory(object)); }

int Release(const Object& object) {
  switch (object.kind) {
    case ObjectKind::kMemory:
      return clReleaseMemObject(AsMemory(object));
    case ObjectKind::kShared:
      clSVMFree(TheCard().context, object.handle);
      return 0;
    case ObjectKind::kSharedByExtension:
      Extension<void (*)(cl_context, void*)>("clSVMFreeARM")(TheCard().context, object.handle);
      return 0;
    case ObjectKind::kUnified:
      return Extension<cl_int (*)(cl_context, void*)>("clMemFreeINTEL")(TheCard().context,
                                                                        object.handle);
  }
  return CL_INVALID_VALUE;
}

size_t SizeOf(const Object& object) {
  size_t size = 0;
  clGetMemObjectInfo(AsMemory(object), CL_MEM_SIZE, sizeof(size), &size, nullptr);
  return size;
}

Object PartOf(const Object& buffer) {
  cl_int error = 0;
  const cl_buffer_region half = {0, SizeOf(buffer) / 2};
  const cl_mem made = clCreateSubBuffer(AsMemory(buffer), CL_MEM_READ_WRITE,
                                        CL_BUFFER_CREATE_TYPE_REGION, &half, &error);
  return Memory(made, error);
}

Object ViewOf(const Object& buffer) {
  cl_int error = 0;
  cl_image_desc desc = {};
  desc.image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER;
  desc.image_width = std::min<size_t>(SizeOf(buffer) / 4, 4096);
  desc.mem_object = AsMemory(buffer);
  const cl_mem made =
      clCreateImage(TheCard().context, CL_MEM_READ_WRITE, &kFormat, &desc, nullptr, &error);
  return Memory(made, error);
}

int FreeInQueue(const Object& object) {
  void* pointer = object.handle;
  const cl_int error =
      clEnqueueSVMFree(TheCard().queue, 1, &pointer, nullptr, nullptr, 0, nullptr, nullptr);
  return error != 0 ? error : clFinish(TheCard().queue);
}

DeviceMemory AskDevice() {
  cl_ulong total = 0, largest = 0;
  clGetDeviceInfo(TheCard().device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(total), &total, nullptr);
  clGetDeviceInfo(TheCard().device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(largest), &largest,
                  nullptr);
  return {total, largest};
}

Contention Contend(size_t threads, size_t rounds, size_t bytes) {
  std::atomic<size_t> granted{0}, refused{0}, held{0}, most{0};
  const auto work = [&] {
    for (size_t i = 0; i < rounds; ++i) {
      const Object made = CreateBuffer(bytes);
      if (!made.handle) {
        ++refused;
        continue;
      }
      ++granted;
      const size_t now = held += bytes;
      size_t before = most;
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      // Ours until the next line's release: what is counted here was surely held.
      held -= bytes;
      Release(made);
    }
  };
  TheCard();
  std::vector<std::thread> all;
  for (size_t i = 0; i < threads; ++i) all.emplace_back(work);
  for (std::thread& each : all) each.join();
  return {granted, refused, most};
}

void Churn(size_t bytes) {
  const Spinner& spinner = TheSpinner();
  for (;;) {
    const Object made = CreateBuffer(bytes);
    if (!made.handle) continue;
    spinner.Launch(AsMemory(made));
    Release(made);
  }
}

size_t Spin(size_t milliseconds) {
  const Spinner& spinner = TheSpinner();
  const Object out = CreateBuffer(4096);
  size_t done = 0;
  const double end = Now() + 1e-3 * static_cast<double>(milliseconds);
  while (spinner.Launch(AsMemory(out))) {
    ++done;
    if (Now() >= end) break;
  }
  Release(out);
  return done;
}

}  // namespace flexai::tests
