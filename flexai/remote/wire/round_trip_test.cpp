// Every row of one table, sent there and back: what arrives is what was sent, what comes back is
// what the driver wrote; cut, prolonged and damaged messages are refused or harmless. Compiled once
// for each table (FLEXAI_TABLE and the headers' names come from CMake).
#include "flexai/remote/wire/round_trip_test.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "flexai/remote/wire/codec.h"
#include FLEXAI_TABLE_CALLS
#include FLEXAI_TABLE_RESOLVER

namespace flexai::api::FLEXAI_TABLE {
extern const remote::wire::Thunk kThunks[kFunctionCount];
}

// The generated dispatch names every call struct once. Read again with another meaning of its
// words, it is the list of rows to test.
namespace flexai::remote::wire {
struct RoundTrip {
  const char* name;
  void (*run)(const Thunk& thunk, const intercept::LibraryInfo& library, int (*find)(uint32_t));
};
template <class C>
constexpr RoundTrip RoundTripOf() {
  return {C::kName, &TestRow<C>};
}
}  // namespace flexai::remote::wire
#define Thunk RoundTrip
#define ThunkOf RoundTripOf
#define kThunks kRoundTrips
#include FLEXAI_TABLE_DISPATCH
#undef Thunk
#undef ThunkOf
#undef kThunks

namespace flexai::remote::wire {
namespace {

namespace table = ::flexai::api::FLEXAI_TABLE;

TEST(RoundTrip, EveryRow) {
  for (int i = 0; i < table::kFunctionCount; ++i) {
    SCOPED_TRACE(table::kRoundTrips[i].name);
    ASSERT_STREQ(table::kThunks[i].name, table::kRoundTrips[i].name);
    table::kRoundTrips[i].run(table::kThunks[i], table::kLibrary, &table::FindById);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(RoundTrip, UnknownFunctionIsRefused) {
  TestHandles handles(0x2000);
  const Site site = {&table::kLibrary, &handles, nullptr, nullptr, 1 << 20};
  Writer reply;
  const uint32_t id = 0x12345678;
  EXPECT_EQ(Serve(table::kThunks, &table::FindById, site, &id, sizeof id, reply).code(),
            Code::kUnimplemented);
  EXPECT_EQ(Serve(table::kThunks, &table::FindById, site, &id, 3, reply).code(),
            Code::kInvalidArgument);
}

TEST(RoundTrip, DigestsTellRowsApart) {
  std::map<uint32_t, const char*> seen;
  for (const Thunk& thunk : table::kThunks) {
    const uint32_t digest = thunk.digest();
    EXPECT_EQ(seen.count(digest), 0u) << thunk.name << " and " << seen[digest];
    seen[digest] = thunk.name;
  }
  EXPECT_NE(TableDigest(table::kThunks, table::kFunctionCount),
            TableDigest(table::kThunks, table::kFunctionCount - 1));
}

}  // namespace
}  // namespace flexai::remote::wire
