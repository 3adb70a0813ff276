#include "flexai/backend/opencl/fake_objects.h"

#include <mutex>
#include <unordered_set>

namespace flexai::api::opencl {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::fake {
const intercept::LibraryInfo& Library() { return flexai::api::opencl::kLibrary; }
}  // namespace flexai::fake

namespace flexai::backend::opencl::fake_driver {
namespace {

struct Living {
  std::mutex mu;
  std::unordered_set<const void*> objects;  // by mu
};
Living& TheLiving() {
  static Living* const living = new Living;
  return *living;
}

template <class T>
T* MakeForever() {
  T* object = new T;
  Register(object);
  return object;
}

}  // namespace

void* const* DispatchTable() {
  constexpr int kSlots = 149;
  static void* const* const table = [] {
    auto** slots = new void*[kSlots]();
    for (const intercept::FnInfo& info : cl::kFunctions) {
      if (info.slot >= 0 && info.slot < kSlots) slots[info.slot] = cl::kFakeFunctions[info.index];
    }
    return slots;
  }();
  return table;
}

void Register(Object* object) {
  Living& living = TheLiving();
  std::lock_guard<std::mutex> lock(living.mu);
  living.objects.insert(object);
}

Object* FindLive(const void* handle, HandleKind kind) {
  Living& living = TheLiving();
  std::lock_guard<std::mutex> lock(living.mu);
  if (!living.objects.count(handle)) return nullptr;
  auto* object = static_cast<Object*>(const_cast<void*>(handle));
  return object->kind == kind ? object : nullptr;
}

void Retain(Object* object) { object->references.fetch_add(1, std::memory_order_relaxed); }

void Release(Object* object) {
  if (!object->destroy) return;  // platform and device live as long as the process
  if (object->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  {
    Living& living = TheLiving();
    std::lock_guard<std::mutex> lock(living.mu);
    living.objects.erase(object);
  }
  object->destroy(object);
}

Platform* ThePlatform() {
  static Platform* const platform = MakeForever<Platform>();
  return platform;
}

Device* TheDevice() {
  static Device* const device = MakeForever<Device>();
  return device;
}

Context::~Context() {
  for (auto end = at_end.rbegin(); end != at_end.rend(); ++end) {
    end->first(HandleOf<cl::cl_context>(this), end->second);
  }
}

Mem::~Mem() {
  for (auto end = at_end.rbegin(); end != at_end.rend(); ++end) {
    end->first(HandleOf<cl::cl_mem>(this), end->second);
  }
  if (held) Card::Instance().arena().Free(held);
}

}  // namespace flexai::backend::opencl::fake_driver

// Bodies are specialisations of fake::Run and have to stand in its namespace.
namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {
template <class T, class C, class H>
void RunRetain(C& call, H handle, int64_t error) {
  Object* object = FindLive(handle, T::kKind);
  if (!object) return Fail(call, error);
  if (object->destroy) Retain(object);
}
template <class T, class C, class H>
void RunRelease(C& call, H handle, int64_t error) {
  Object* object = FindLive(handle, T::kKind);
  if (!object) return Fail(call, error);
  Release(object);
}
}  // namespace

// clang-format off
template <> void Run(cl::ClRetainContextCall& c) { RunRetain<Context>(c, c.context, cl::CL_INVALID_CONTEXT); }
template <> void Run(cl::ClReleaseContextCall& c) { RunRelease<Context>(c, c.context, cl::CL_INVALID_CONTEXT); }
template <> void Run(cl::ClRetainCommandQueueCall& c) { RunRetain<Queue>(c, c.command_queue, cl::CL_INVALID_COMMAND_QUEUE); }
template <> void Run(cl::ClReleaseCommandQueueCall& c) { RunRelease<Queue>(c, c.command_queue, cl::CL_INVALID_COMMAND_QUEUE); }
template <> void Run(cl::ClRetainMemObjectCall& c) { RunRetain<Mem>(c, c.memobj, cl::CL_INVALID_MEM_OBJECT); }
template <> void Run(cl::ClReleaseMemObjectCall& c) { RunRelease<Mem>(c, c.memobj, cl::CL_INVALID_MEM_OBJECT); }
template <> void Run(cl::ClRetainSamplerCall& c) { RunRetain<Sampler>(c, c.sampler, cl::CL_INVALID_SAMPLER); }
template <> void Run(cl::ClReleaseSamplerCall& c) { RunRelease<Sampler>(c, c.sampler, cl::CL_INVALID_SAMPLER); }
template <> void Run(cl::ClRetainProgramCall& c) { RunRetain<Program>(c, c.program, cl::CL_INVALID_PROGRAM); }
template <> void Run(cl::ClReleaseProgramCall& c) { RunRelease<Program>(c, c.program, cl::CL_INVALID_PROGRAM); }
template <> void Run(cl::ClRetainKernelCall& c) { RunRetain<Kernel>(c, c.kernel, cl::CL_INVALID_KERNEL); }
template <> void Run(cl::ClReleaseKernelCall& c) { RunRelease<Kernel>(c, c.kernel, cl::CL_INVALID_KERNEL); }
template <> void Run(cl::ClRetainEventCall& c) { RunRetain<Event>(c, c.event, cl::CL_INVALID_EVENT); }
template <> void Run(cl::ClReleaseEventCall& c) { RunRelease<Event>(c, c.event, cl::CL_INVALID_EVENT); }
template <> void Run(cl::ClRetainDeviceCall& c) { RunRetain<Device>(c, c.device, cl::CL_INVALID_DEVICE); }
template <> void Run(cl::ClReleaseDeviceCall& c) { RunRelease<Device>(c, c.device, cl::CL_INVALID_DEVICE); }
template <> void Run(cl::ClRetainDeviceEXTCall& c) { RunRetain<Device>(c, c.device, cl::CL_INVALID_DEVICE); }
template <> void Run(cl::ClReleaseDeviceEXTCall& c) { RunRelease<Device>(c, c.device, cl::CL_INVALID_DEVICE); }
// clang-format on

}  // namespace flexai::fake
