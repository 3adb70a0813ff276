// Feeds the wire decoder of one table with bytes that no client of ours wrote. First byte: 0 means
// that the rest is a call, anything else that it is the reply to a made-up call of row (byte - 1).
// Compiled once for each table (FLEXAI_TABLE and the headers' names come from CMake).
#include <stddef.h>
#include <stdint.h>

#include "flexai/remote/wire/codec.h"
#include "flexai/remote/wire/round_trip_test.h"
#include FLEXAI_TABLE_CALLS
#include FLEXAI_TABLE_RESOLVER

namespace flexai::api::FLEXAI_TABLE {
extern const remote::wire::Thunk kThunks[kFunctionCount];
}

namespace flexai::remote::wire {

namespace table = ::flexai::api::FLEXAI_TABLE;

// The reader of replies, and a driver whose answers point at every byte of the room it was given.
struct FuzzRow {
  void (*reply)(const Thunk& thunk, const uint8_t* data, size_t size);
  void (*answer)(void* params);
};

template <class C>
void FuzzReply(const Thunk& thunk, const uint8_t* data, size_t size) {
  if constexpr (kCarried<C>) {
    Keep keep;
    C call{};
    FillCall fill{Mode::kFull, 0x1000, keep};
    for (fill.pass = 0; fill.pass < 3; ++fill.pass) call.VisitParams(fill);
    TestHandles handles(0x1000);
    Reader in(data, size);
    (void)thunk.decode_reply(table::kFunctions[C::kIndex], &call, handles, in).ok();
  }
}

template <class C>
void FuzzAnswer(void* params) {
  if constexpr (kCarried<C>) {
    C& call = *static_cast<C*>(params);
    FillOut fill{0x2000};
    call.VisitParams(fill);
    fill.pass = 1;
    call.VisitParams(fill);
    call.VisitResult(fill);
    Dump dump{0x2000, false};
    call.VisitParams(dump);  // reads every byte that arrived
  }
}

template <class C>
constexpr FuzzRow FuzzRowOf() {
  return {&FuzzReply<C>, &FuzzAnswer<C>};
}

}  // namespace flexai::remote::wire

#define Thunk FuzzRow
#define ThunkOf FuzzRowOf
#define kThunks kFuzzRows
#include FLEXAI_TABLE_DISPATCH
#undef Thunk
#undef ThunkOf
#undef kThunks

namespace flexai::remote::wire {

void RunRow(void*, uint16_t index, void* params) { table::kFuzzRows[index].answer(params); }

void Fuzz(const uint8_t* data, size_t size) {
  if (size == 0) return;
  if (data[0] != 0) {
    const int row = data[0] - 1;
    if (row >= table::kFunctionCount) return;
    return table::kFuzzRows[row].reply(table::kThunks[row], data + 1, size - 1);
  }
  TestHandles handles(0x2000);
  const Site site = {&table::kLibrary, &handles, &RunRow, nullptr, 1 << 20};
  Writer reply;
  (void)Serve(table::kThunks, &table::FindById, site, data + 1, size - 1, reply).ok();
}

}  // namespace flexai::remote::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flexai::remote::wire::Fuzz(data, size);
  return 0;
}
