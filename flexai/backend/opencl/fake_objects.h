// Objects of the fake OpenCL driver: what its handles point to. Each begins with the pointer to the
// dispatch table, as loaders expect. A handle is believed only while its object lives, so that a
// second release or a wild pointer gets the API's own error and not a crash.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flexai/fake/card.h"
#include "flexai/fake/entry.h"
#include "opencl/calls.h"

namespace flexai::backend::opencl::fake_driver {

namespace cl = ::flexai::api::opencl;
using cl::HandleKind;
using fake::Card;
using fake::Task;
using fake::TaskPtr;

/// The functions of this driver in the order of the ICD dispatch table.
void* const* DispatchTable();

struct Object {
  void* const* dispatch;  // first: loaders call through it
  HandleKind kind;
  std::atomic<uint32_t> references{1};
  void (*destroy)(Object*) = nullptr;

  explicit Object(HandleKind in_kind) : dispatch(DispatchTable()), kind(in_kind) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
};

void Register(Object* object);
/// Null unless `handle` is an object of this kind that lives. Thread: any.
Object* FindLive(const void* handle, HandleKind kind);
void Retain(Object* object);
void Release(Object* object);

/// A reference that a holder keeps.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_) Retain(object_);
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) Release(object_);
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

struct Platform : Object {
  static constexpr HandleKind kKind = HandleKind::kPlatform;
  Platform() : Object(kKind) {}
};
struct Device : Object {
  static constexpr HandleKind kKind = HandleKind::kDevice;
  Device() : Object(kKind) {}
};
Platform* ThePlatform();
Device* TheDevice();

struct Context : Object {
  static constexpr HandleKind kKind = HandleKind::kContext;
  Context() : Object(kKind) {}
  ~Context();
  std::vector<cl::cl_context_properties> properties;
  std::vector<std::pair<cl::cl_context_destructor, void*>> at_end;
  std::shared_ptr<void> channels;
};

struct Queue : Object {
  static constexpr HandleKind kKind = HandleKind::kQueue;
  Queue() : Object(kKind) {}
  Ref<Context> context;
  uint64_t flags = 0;
  std::vector<cl::cl_queue_properties> properties;
  fake::Stream stream;
};

struct Event : Object {
  static constexpr HandleKind kKind = HandleKind::kEvent;
  Event() : Object(kKind) {}
  Ref<Context> context;
  Ref<Queue> queue;  // none for an event of the application's own
  int64_t command = 0;
  TaskPtr task;
};

struct Mem : Object {
  static constexpr HandleKind kKind = HandleKind::kMem;
  Mem() : Object(kKind) {}
  ~Mem();
  Ref<Context> context;
  Ref<Mem> parent;  // of a sub-buffer, or an image made from a buffer
  int64_t type = cl::CL_MEM_OBJECT_BUFFER;
  uint64_t flags = 0;
  size_t size = 0, offset = 0;
  void* held = nullptr;  // what the arena counts
  void* host_ptr = nullptr;
  char* data = nullptr;
  std::atomic<uint32_t> maps{0};
  std::vector<cl::cl_mem_properties> properties;
  std::vector<std::pair<cl::cl_mem_notify, void*>> at_end;
  cl::cl_image_format format = {};
  size_t element = 1, width = 0, height = 0, depth = 0, layers = 0, row = 0, slice = 0;
};

struct Sampler : Object {
  static constexpr HandleKind kKind = HandleKind::kSampler;
  Sampler() : Object(kKind) {}
  Ref<Context> context;
  cl::cl_bool normalized = 1;
  cl::cl_addressing_mode addressing = static_cast<cl::cl_addressing_mode>(cl::CL_ADDRESS_CLAMP);
  cl::cl_filter_mode filter = static_cast<cl::cl_filter_mode>(cl::CL_FILTER_NEAREST);
};

/// A parameter of a kernel, as its source declares it.
struct ArgSource {
  enum class Kind { kMemory, kLocal, kSampler, kNumber };
  Kind kind = Kind::kNumber;
  size_t size = 0;  // 0 = any
  std::string type, name;
};
struct KernelSource {
  std::string name;
  std::vector<ArgSource> args;
};

struct Program : Object {
  static constexpr HandleKind kKind = HandleKind::kProgram;
  Program() : Object(kKind) {}
  Ref<Context> context;
  std::string source, options, log;
  int64_t status = cl::CL_BUILD_NONE;
  int64_t binary_type = cl::CL_PROGRAM_BINARY_TYPE_NONE;
  std::vector<std::shared_ptr<const KernelSource>> kernels;
};

struct Arg {
  bool set = false;
  std::string bytes;
  Ref<Mem> mem;
  void* svm = nullptr;
};
struct Kernel : Object {
  static constexpr HandleKind kKind = HandleKind::kKernel;
  Kernel() : Object(kKind) {}
  Ref<Program> program;
  std::shared_ptr<const KernelSource> source;
  std::vector<Arg> args;
};

/// A new object with one reference, the application's.
template <class T>
T* Make() {
  T* object = new T;
  object->destroy = [](Object* gone) { delete static_cast<T*>(gone); };
  Register(object);
  return object;
}

/// The living object behind a handle, or null.
template <class T, class H>
T* Live(H handle) {
  return static_cast<T*>(FindLive(handle, T::kKind));
}
template <class H, class T>
H HandleOf(T* object) {
  return reinterpret_cast<H>(static_cast<Object*>(object));
}

/// The call ends with this error.
template <class C>
void Fail(C& call, int64_t code) {
  intercept::EndWith(cl::kLibrary.ops[C::kIndex].fields, &call, code);
}
/// The call ends with this object, whose one reference becomes the application's.
template <class C, class T>
void Give(C& call, T* object) {
  call.result = HandleOf<decltype(call.result)>(object);
  if (call.errcode_ret) *call.errcode_ret = 0;
}

/// Answers clGet*Info calls: size checks as the API wants them.
template <class C>
class Answer {
 public:
  explicit Answer(C& call) : call_(call) {}
  void Bytes(const void* from, size_t bytes) {
    if (call_.param_value && call_.param_value_size < bytes) {
      return Fail(call_, cl::CL_INVALID_VALUE);
    }
    if (call_.param_value && bytes > 0) __builtin_memcpy(call_.param_value, from, bytes);
    if (call_.param_value_size_ret) *call_.param_value_size_ret = bytes;
  }
  template <class T>
  void Is(const T& value) {
    Bytes(&value, sizeof value);
  }
  void Uint(uint64_t value) { Is(static_cast<cl::cl_uint>(value)); }
  void Size(uint64_t value) { Is(static_cast<size_t>(value)); }
  void Long(uint64_t value) { Is(static_cast<cl::cl_ulong>(value)); }
  void Text(const std::string& text) { Bytes(text.c_str(), text.size() + 1); }
  template <class T>
  void List(const std::vector<T>& list) {
    Bytes(list.data(), list.size() * sizeof(T));
  }
  void Handle(Object* object) { Is(object); }
  void References(const Object& object) { Uint(object.references.load()); }
  void Unknown() { Fail(call_, cl::CL_INVALID_VALUE); }

 private:
  C& call_;
};

/// A zero-terminated list with its zero; empty for a null one.
template <class T>
std::vector<T> ListOf(const T* list) {
  std::vector<T> copy;
  if (!list) return copy;
  for (; list[0] != 0; list += 2) copy.insert(copy.end(), {list[0], list[1]});
  copy.push_back(0);
  return copy;
}

/// What an enqueue function has asked for.
struct Command {
  int64_t type;
  bool blocking = false;
  Nanos cost = 0;
  bool compute = false;
  std::function<int64_t()> work = nullptr;
};
/// Checks queue and wait list, puts the command on the queue, makes the event, waits if blocking.
/// Returns CL_SUCCESS or the error.
cl::cl_int Enqueue(cl::cl_command_queue queue, cl::cl_uint waits, const cl::cl_event* list,
                   cl::cl_event* event, Command command);
/// The same for calls whose parameters have the usual names; reports the error where the call does.
template <class C>
bool EnqueueCall(C& call, Command command) {
  const cl::cl_int code = Enqueue(call.command_queue, call.num_events_in_wait_list,
                                  call.event_wait_list, call.event, std::move(command));
  if (code != 0) Fail(call, code);
  return code == 0;
}

/// Card time of moving `bytes`: 16 GB/s.
inline Nanos CopyCost(uint64_t bytes) { return static_cast<Nanos>(bytes / 16); }

}  // namespace flexai::backend::opencl::fake_driver
