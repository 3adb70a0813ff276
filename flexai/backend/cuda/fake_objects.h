// What the fake driver's handles point to, and the memory of its cards. A handle is believed only
// while its object lives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda/calls.h"
#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/fake_shared.h"
#include "flexai/backend/nvidia/fake_cards.h"
#include "flexai/backend/nvidia/fake_rm.h"
#include "flexai/fake/card.h"
#include "flexai/fake/entry.h"

namespace flexai::backend::cuda::fake_driver {

namespace cu = ::flexai::api::cuda;
using nvidia::fake_driver::PretendChannels;
using nvidia::fake_driver::PretendModule;

inline constexpr int64_t kOk = cu::CUDA_SUCCESS;

/// Sets a call's result. Codes are those of [constants] in the table.
template <class C>
void End(C& call, int64_t code = kOk) {
  intercept::EndWith(cu::kLibrary.ops[C::kIndex].fields, &call, code);
}

struct Object {
  virtual ~Object() = default;
};
/// Adds to, looks up and removes from the objects that live. Thread: any.
void Register(std::shared_ptr<Object> object);
std::shared_ptr<Object> FindAny(const void* handle);
bool Remove(const void* handle);
template <class T>
std::shared_ptr<T> Find(const void* handle) {
  return std::dynamic_pointer_cast<T>(FindAny(handle));
}
/// Makes an object, and its handle.
template <class T, class H, class... A>
std::shared_ptr<T> Make(H* handle, A... args) {
  auto made = std::make_shared<T>(args...);
  Register(made);
  *handle = reinterpret_cast<H>(static_cast<Object*>(made.get()));
  return made;
}

/// Of the API that the driver speaks.
inline constexpr int kDriverVersion = 13000;

/// The card behind one of the process's devices, and the other way round; -1 where there is none.
int CardOf(cu::CUdevice_v1 device);
cu::CUdevice_v1 DeviceOf(int card);
/// Of the current context, or the process's first without one.
int CurrentCard();
/// Of CUdevice_attribute.
int Attribute(int card, int asked);
/// `then(card)` ends a call that is about a device, where there is such a device.
template <class C, class F>
void OnCard(C& call, cu::CUdevice_v1 device, F then) {
  const int card = CardOf(device);
  card < 0 ? End(call, cu::CUDA_ERROR_INVALID_DEVICE) : then(card);
}
/// CUmemLocation.
struct Location {
  uint32_t type;
  int32_t id;
};
inline constexpr uint32_t kOnDevice = 1, kOnHost = 2, kOnHostNuma = 3, kOnHostNumaCurrent = 4;
inline bool IsOnHost(Location location) {
  return location.type >= kOnHost && location.type <= kOnHostNumaCurrent;
}
/// Where the properties of an allocation or of a pool want it to be.
Location LocationIn(const void* properties);

struct Module;
struct Queue;
inline constexpr uint64_t kFirstRoom = 1024;
struct Context : Object {
  const int card;
  uint64_t bytes = 0;
  std::vector<std::weak_ptr<Module>> modules;
  std::unique_ptr<PretendChannels> channels;
  std::map<uint32_t, std::pair<uint64_t, std::shared_ptr<struct Taken>>> limits;  // that were set
  uint64_t room = kFirstRoom;  // of each thread; for more than the first there is memory
  std::vector<std::shared_ptr<struct Taken>> more_room;
  uint64_t heap_bytes = uint64_t{8} << 20;
  std::shared_ptr<struct Taken> heap;  // once a kernel that may allocate was launched
  std::mutex mu;                       // guards what follows
  std::shared_ptr<Queue> default_stream;
  std::map<std::thread::id, std::shared_ptr<Queue>> thread_streams;
  std::vector<std::weak_ptr<Queue>> streams;
  std::vector<std::shared_ptr<struct Taken>> stream_blocks;  // once streams take memory
  uint64_t streams_made = 0;
  std::vector<fake::TaskPtr> left;  // last work of streams that were destroyed before its end
  explicit Context(int in_card) : card(in_card) {}
  ~Context() override { SharedCard::Instance(card).Give(bytes); }
};
/// The calling thread's context, null without one.
Context* Current();
/// A context's handle, and whose handle it is; null where there is none.
cu::CUcontext HandleOf(Context* context);
Context* ContextOf(cu::CUcontext handle);
/// A card's primary context, which need not be in use.
cu::CUcontext PrimaryHandle(int card);

/// Addresses with nothing behind them yet but zeros; whole blocks begin at a multiple of their
/// size. 0: the host has none.
uint64_t NewAddresses(uint64_t bytes, int protection);
uint64_t NewBlocks(uint64_t bytes);

/// Memory that the process holds while it lives. Gives back what it took.
struct Taken {
  const int card;
  const uint64_t bytes;
  const bool managed;
  Taken(int in_card, uint64_t in_bytes, bool in_managed)
      : card(in_card), bytes(in_bytes), managed(in_managed) {}
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  ~Taken() { SharedCard::Instance(card).Give(bytes, managed); }
};
/// Null where the card is full. What is managed belongs to no process in the driver's figures.
std::shared_ptr<Taken> TakeMemory(int card, uint64_t bytes, bool managed = false);
/// What was allocated and loaded in a context that ends.
void FreeMemoryOf(Context& context);
void FreeModulesOf(Context& context);

struct Queue : Object {
  const int card;
  explicit Queue(int in_card) : card(in_card) {}
  fake::Stream queue;
  struct Graph* capture = nullptr;
  bool spoilt = false;              // the capture, by a call that it does not bear
  cu::CUcontext context = nullptr;  // null: the default one of no context
};
/// The stream behind a handle; the default one of the context behind null and 1, that of the thread
/// behind 2; null if there is none.
std::shared_ptr<Queue> FindStream(const void* handle);
/// The stream that a call `C` means by `handle`: null is the thread's in variants for such streams.
template <class C>
const void* Meant(const void* handle) {
  const bool of_thread = IsPerThread(cu::kFunctions[C::kIndex].name);
  return of_thread && !handle ? reinterpret_cast<const void*>(2) : handle;
}
template <class C>
std::shared_ptr<Queue> StreamOf(const C& call) {
  return FindStream(Meant<C>(call.hStream));
}

/// What work in a stream is answered at once: that nothing more can be captured, or success.
int64_t Spoilt(const Queue& stream);

struct Event : Object {
  int card = 0;  // on which it was recorded
  fake::TaskPtr at;
};

struct Pool : Object {
  const int card;
  const bool on_host;
  uint64_t used = 0, reserved = 0, threshold = 0;
  explicit Pool(int in_card, bool in_on_host = false) : card(in_card), on_host(in_on_host) {}
  ~Pool() override { Give(reserved); }
  bool Take(uint64_t bytes) const { return on_host || SharedCard::Instance(card).Take(bytes); }
  void Give(uint64_t bytes) const {
    if (!on_host) SharedCard::Instance(card).Give(bytes);
  }
};
/// Releases what pools hold above their thresholds, as a synchronisation does.
void SettlePools();

struct Function : Object {
  std::string name;
  uint64_t room = 0;  // that each of its threads needs
  bool allocates = false;
  std::weak_ptr<Module> module;
  std::shared_ptr<Function> function;  // of a library's kernel: the same each time
};
/// Loads the code that waited for the function's first launch; whether the card has room for it.
bool LoadCodeOf(const Function& function);
/// Takes what a launch of the function needs beside its work, as the driver does; whether the card
/// has it.
bool MakeRoom(Context* context, const Function& function);
/// What is set by cuCtxSetLimit.
bool SetRoom(Context& context, uint64_t each);

struct Node : Object {
  cu::CUgraphNodeType type = 5;        // empty
  std::shared_ptr<Function> function;  // that it launches
  int card = 0;                        // of one that takes memory
  cu::CUDA_MEM_ALLOC_NODE_PARAMS_v1 memory = {};
};
struct Graph : Object {
  std::vector<std::shared_ptr<Node>> nodes;
  uint64_t items = 0;  // work of its launches
};
struct Exec : Object {
  const int card;
  explicit Exec(int in_card) : card(in_card) {}
  uint64_t bytes = 0;
  uint64_t items = 0;
  bool mapped = false;
  std::shared_ptr<Taken> own;                        // what many nodes take
  std::vector<std::shared_ptr<Function>> functions;  // that it launches
};
/// An address range that nothing stands behind yet; 0 if the process has none left.
uint64_t ReserveAddresses(uint64_t bytes);
/// A node that will map `bytes`; its address is in the node.
std::shared_ptr<Node> AddMemoryNode(Graph* graph, uint64_t bytes, int card);

struct Array : Object {
  uint64_t bytes = 0;
  std::shared_ptr<Taken> taken;
  std::vector<std::shared_ptr<Object>> mapped;  // physical memory in a sparse one
};

struct Module : Object {
  std::shared_ptr<Taken> memory;
  std::map<std::string, uint64_t> globals;
  uint64_t room = 0;  // that each thread of its kernels needs, and whether they may allocate
  bool allocates = false;
  std::mutex mu;         // guards what follows
  uint64_t waiting = 0;  // bytes of code that is loaded at the first launch
  std::shared_ptr<Taken> loaded;
};
/// Code, which takes memory, as its own data does; null where the card is full.
std::shared_ptr<Module> NewModule(const void* image);
/// Work that ends at once but takes its place in a stream, and waiting for it.
void Wait(Queue& stream);

}  // namespace flexai::backend::cuda::fake_driver
