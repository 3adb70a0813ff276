// Tables of functions that no header declares: the vendor's runtime (libcudart, alone or inside
// other libraries) asks for them by name before its first call. There is no description of them;
// what is here is what public projects tell of them and what was seen when the runtimes of
// tools/requirements-vendor.txt were started on this driver, and no more than these need. An entry
// that nobody was seen to call refuses, and FLEXAI_LOG=fake=debug tells of it.
// A table's first word is its size in bytes, except where it is said.
#include "flexai/backend/cuda/fake_tables.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "flexai/backend/cuda/fake_digest.h"
#include "flexai/backend/cuda/fake_objects.h"
#include "flexai/base/log.h"

namespace flexai::backend::cuda::fake_driver {
namespace {

using Name = std::array<uint8_t, 16>;

template <int kTable, size_t kSlot>
cu::CUresult Refuse() {
  FLEXAI_LOG("fake", kDebug, "entry %zu of table %d is not known", kSlot, kTable);
  return cu::CUDA_ERROR_NOT_SUPPORTED;
}

/// `kWords` words of which all but the first refuse, until they are set.
template <int kTable, size_t kWords>
struct Table {
  std::array<const void*, kWords> words;

  Table() : Table(std::make_index_sequence<kWords>()) {
    words[0] = reinterpret_cast<const void*>(sizeof(words));
  }
  template <class F>
  void Set(size_t slot, F* function) {
    words[slot] = reinterpret_cast<const void*>(function);
  }

 private:
  template <size_t... kSlots>
  explicit Table(std::index_sequence<kSlots...>)
      : words{reinterpret_cast<const void*>(&Refuse<kTable, kSlots>)...} {}
};

// Code and primary contexts, for the runtime.

cu::CUresult LoadCode(cu::CUmodule* made, const void*) {
  const auto module = NewModule(nullptr);
  if (!module) return cu::CUDA_ERROR_OUT_OF_MEMORY;
  *made = reinterpret_cast<cu::CUmodule>(static_cast<Object*>(module.get()));
  return cu::CUDA_SUCCESS;
}
cu::CUresult LoadCodeLast(const void*, cu::CUmodule* made) { return LoadCode(made, nullptr); }

cu::CUresult TellPrimary(cu::CUcontext* context, int device) {
  const int card = CardOf(device);
  if (card < 0) return cu::CUDA_ERROR_INVALID_DEVICE;
  *context = PrimaryHandle(card);
  return cu::CUDA_SUCCESS;
}

cu::CUresult Agree() { return cu::CUDA_SUCCESS; }

struct RuntimeTable : Table<0, 13> {
  RuntimeTable() {
    Set(1, &LoadCode);
    Set(2, &TellPrimary);
    Set(6, &LoadCode);
    Set(7, &Agree);
    Set(8, &LoadCodeLast);
    Set(12, &Agree);
  }
};
RuntimeTable& TheRuntimeTable() {
  static auto* const table = new RuntimeTable;
  return *table;
}

// Room that debuggers and profilers would fill.

template <int kRoom, size_t kWords>
void TellRoom(void** at, size_t* words) {
  static uint64_t room[kWords];
  *at = room;
  *words = kWords;
}

struct HooksTable : Table<1, 7> {
  HooksTable() {
    Set(2, &TellRoom<0, 1024>);
    Set(6, &TellRoom<1, 14>);
  }
};

// What libraries keep for a context.

struct Locals {
  std::mutex mu;  // guards what follows
  std::map<std::pair<const void*, const void*>, void*> values;
};
Locals& TheLocals() {
  static auto* const locals = new Locals;
  return *locals;
}

// None, and all ones, mean the calling thread's.
const void* Meant(cu::CUcontext context) {
  const auto number = reinterpret_cast<uintptr_t>(context);
  return number + 1 > 1 ? static_cast<const void*>(context) : static_cast<Object*>(Current());
}

cu::CUresult PutLocal(cu::CUcontext context, const void* key, void* value, void*) {
  Locals& locals = TheLocals();
  std::lock_guard<std::mutex> lock(locals.mu);
  locals.values[{Meant(context), key}] = value;
  return cu::CUDA_SUCCESS;
}
cu::CUresult DropLocal(cu::CUcontext context, const void* key) {
  Locals& locals = TheLocals();
  std::lock_guard<std::mutex> lock(locals.mu);
  locals.values.erase({Meant(context), key});
  return cu::CUDA_SUCCESS;
}
cu::CUresult GetLocal(void** value, cu::CUcontext context, const void* key) {
  Locals& locals = TheLocals();
  std::lock_guard<std::mutex> lock(locals.mu);
  const auto found = locals.values.find({Meant(context), key});
  if (found == locals.values.end()) return cu::CUDA_ERROR_INVALID_HANDLE;
  *value = found->second;
  return cu::CUDA_SUCCESS;
}

struct LocalsTable : Table<2, 4> {
  LocalsTable() {  // without its size
    Set(0, &PutLocal);
    Set(1, &DropLocal);
    Set(2, &GetLocal);
  }
};

// Questions about contexts.

cu::CUresult CheckContext(cu::CUcontext, uint32_t* answer, const void**) {
  if (answer) *answer = 0;
  return cu::CUDA_SUCCESS;
}
struct ChecksTable : Table<3, 17> {
  ChecksTable() {
    Set(2, &CheckContext);
    Set(3, &Agree);
  }
};

cu::CUresult TellCurrent(cu::CUcontext* context) {
  if (context) *context = reinterpret_cast<cu::CUcontext>(static_cast<Object*>(Current()));
  return cu::CUDA_SUCCESS;
}
struct ThreadTable : Table<4, 4> {
  ThreadTable() { Set(2, &TellCurrent); }
};

cu::CUresult TellNumber(cu::CUcontext, uint64_t* number) {
  *number = 1;  // as cuCtxGetId
  return cu::CUDA_SUCCESS;
}
struct ContextTable : Table<5, 95> {
  ContextTable() { Set(4, &TellNumber); }
};

// Functions of loaded code. Code is not looked into here, so that nothing can be told.
using FunctionTable = Table<7, 64>;

// The runtime asks for a digest of what both know, and goes on only if it is right.

struct Known {
  uint32_t driver, version, process, thread;
  const void *runtime, *handshake, *entry;
  uint64_t seconds;
  CardName cards[kMostCards];  // as many as the process sees
};

cu::CUresult Answer(uint32_t version, uint64_t seconds, uint64_t* answer);
struct HandshakeTable : Table<6, 3> {
  HandshakeTable() { Set(1, &Answer); }
};
HandshakeTable& TheHandshakeTable() {
  static auto* const table = new HandshakeTable;
  return *table;
}

cu::CUresult Answer(uint32_t version, uint64_t seconds, uint64_t* answer) {
  // Old runtimes ask for a constant.
  constexpr uint64_t kSecond = 0x8ed383aa1f4cd1e8;
  if (version % 10 < 2) {
    answer[0] = version % 10 == 0 ? 0x3341181c03cb675c : 0x1841181c03cb675c;
    answer[1] = kSecond;
    return cu::CUDA_SUCCESS;
  }
  Known known = {kDriverVersion,
                 version,
                 static_cast<uint32_t>(getpid()),
                 static_cast<uint32_t>(pthread_self()),
                 &TheRuntimeTable().words,
                 &TheHandshakeTable().words,
                 TheHandshakeTable().words[1],
                 seconds,
                 {}};
  size_t bytes_known = offsetof(Known, cards);
  for (int device = 0, card; (card = CardOf(device)) >= 0; ++device) {
    known.cards[device] = NameOfCard(card);
    bytes_known += sizeof(CardName);
  }
  constexpr Digest kKey = {0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52,
                           0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f};
  const auto* bytes = reinterpret_cast<const uint8_t*>(&known);
  const Digest digest = HmacMd2(kKey, bytes, bytes_known);
  memcpy(answer, digest.data(), digest.size());
  return cu::CUDA_SUCCESS;
}

struct Named {
  Name name;
  const void* table;
};

template <class T>
const void* Words() {
  static const auto* const table = new T;
  return table->words.data();
}

const std::array<Named, 8>& All() {
  static const auto* const all = new std::array<Named, 8>{{
      {{0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d,
        0xf9},
       TheRuntimeTable().words.data()},
      {{0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a,
        0x66},
       Words<HooksTable>()},
      {{0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95,
        0x93},
       Words<LocalsTable>()},
      {{0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa,
        0x7e},
       Words<ChecksTable>()},
      {{0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec,
        0xdc},
       Words<ThreadTable>()},
      {{0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8,
        0xf2},
       Words<ContextTable>()},
      {{0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99,
        0x1e},
       Words<FunctionTable>()},
      {{0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1,
        0xf2},
       TheHandshakeTable().words.data()},
  }};
  return *all;
}

}  // namespace

const void* FindTable(const void* name) {
  for (const Named& one : All()) {
    if (memcmp(one.name.data(), name, one.name.size()) == 0) return one.table;
  }
  const auto* byte = static_cast<const uint8_t*>(name);
  FLEXAI_LOG("fake", kDebug, "no table %02x%02x%02x%02x", byte[0], byte[1], byte[2], byte[3]);
  return nullptr;
}

void ForgetLocals(const void* context) {
  Locals& locals = TheLocals();
  std::lock_guard<std::mutex> lock(locals.mu);
  std::erase_if(locals.values, [&](const auto& one) { return one.first.first == context; });
}

}  // namespace flexai::backend::cuda::fake_driver
