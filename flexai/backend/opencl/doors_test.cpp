// The layer and look-up doors on made-up loaders and drivers: each loader has a door of its own,
// look-ups end in us, a layer that is listed twice acts once. Each case runs in a child, because
// doors stay open for a process's life.
#include "flexai/backend/opencl/doors.h"

#include <gtest/gtest.h>

#include <string>

#include "flexai/intercept/stage.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {

extern "C" {
api::cl_int clGetLayerInfo(api::cl_uint, size_t, void*, size_t*);
api::cl_int clInitLayer(api::cl_uint, void* const*, api::cl_uint*, void* const**);
}

namespace {

int g_seen = 0;

class CountingStage : public intercept::Stage {
 public:
  const char* name() const override { return "counting"; }
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kOpen; }
  bool Listens(const intercept::FnInfo&) override { return true; }
  bool Before(intercept::Call&) override {
    ++g_seen;
    return true;
  }
  void After(intercept::Call&) override {}
};
CountingStage g_stage;

constexpr int SlotOf(uint16_t index) { return api::kFunctions[index].slot; }

// The loader of number kLoader: functions without an object tell which loader was reached.
template <int kLoader>
struct Loader {
  static api::cl_int GetPlatformIDs(api::cl_uint, api::cl_platform_id*, api::cl_uint* count) {
    *count = kLoader;
    return api::CL_SUCCESS;
  }
  static api::cl_int Flush(api::cl_command_queue) { return api::CL_SUCCESS; }
  static api::cl_int EnqueueCommandBuffer(api::cl_uint, api::cl_command_queue*,
                                          api::cl_command_buffer_khr, api::cl_uint,
                                          const api::cl_event*, api::cl_event*) {
    return kLoader;
  }
  static void* Address(const char* name) {
    if (std::string(name) == "clEnqueueCommandBufferKHR") {
      return reinterpret_cast<void*>(&EnqueueCommandBuffer);
    }
    return std::string(name) == "clUnheardOf" ? reinterpret_cast<void*>(0x1234) : nullptr;
  }
  Loader() {
    slots[SlotOf(api::ClGetPlatformIDsCall::kIndex)] = reinterpret_cast<void*>(&GetPlatformIDs);
    slots[SlotOf(api::ClFlushCall::kIndex)] = reinterpret_cast<void*>(&Flush);
    slots[SlotOf(api::ClGetExtensionFunctionAddressCall::kIndex)] =
        reinterpret_cast<void*>(&Address);
  }
  void* slots[api::kSlots] = {};
};

void* const* Init(void* const* slots, api::cl_uint count = api::kSlots) {
  api::cl_uint given = 0;
  void* const* layer = nullptr;
  EXPECT_EQ(clInitLayer(count, slots, &given, &layer), api::CL_SUCCESS);
  EXPECT_EQ(given, count);
  return layer;
}

template <class C>
typename C::Signature* In(void* const* slots) {
  return reinterpret_cast<typename C::Signature*>(slots[SlotOf(C::kIndex)]);
}

api::cl_uint PlatformsOf(void* const* slots) {
  api::cl_uint count = 0;
  In<api::ClGetPlatformIDsCall>(slots)(0, nullptr, &count);
  return count;
}

// Runs `body` in a child and fails with what it said.
#define IN_CHILD(body)                                  \
  EXPECT_EXIT(                                          \
      {                                                 \
        EXPECT_TRUE(g_chassis.AddStage(&g_stage).ok()); \
        [] body();                                      \
        fflush(stdout);                                 \
        _exit(testing::Test::HasFailure() ? 1 : 0);     \
      },                                                \
      testing::ExitedWithCode(0), "")

TEST(Doors, LayerTellsItsNameAndVersion) {
  api::cl_uint version = 0;
  size_t size = 0;
  EXPECT_EQ(clGetLayerInfo(api::CL_LAYER_API_VERSION, sizeof version, &version, &size), 0);
  EXPECT_EQ(version, 100u);
  EXPECT_EQ(size, 4u);
  char name[16] = {};
  EXPECT_EQ(clGetLayerInfo(api::CL_LAYER_NAME, sizeof name, name, nullptr), 0);
  EXPECT_STREQ(name, "flexai");
  EXPECT_EQ(clGetLayerInfo(api::CL_LAYER_NAME, 3, name, nullptr), api::CL_INVALID_VALUE);
  EXPECT_EQ(clGetLayerInfo(1, sizeof name, name, nullptr), api::CL_INVALID_VALUE);
  EXPECT_EQ(clInitLayer(1, nullptr, nullptr, nullptr), api::CL_INVALID_VALUE);
}

TEST(Doors, EachLoaderIsReachedThroughItsOwnDoor) {
  IN_CHILD({
    static Loader<1> one;
    static Loader<2> two;
    void* const* first = Init(one.slots);
    void* const* second = Init(two.slots);
    EXPECT_NE(first, second);
    EXPECT_EQ(PlatformsOf(first), 1u);
    EXPECT_EQ(PlatformsOf(second), 2u);
    EXPECT_EQ(g_seen, 2);
    EXPECT_EQ(reinterpret_cast<void*>(Real().clFlush), reinterpret_cast<void*>(&Loader<1>::Flush));
  });
}

TEST(Doors, FifthLoaderSharesTheLastDoor) {
  IN_CHILD({
    static Loader<1> one;
    static Loader<2> two;
    static Loader<3> three;
    static Loader<4> four;
    static Loader<5> five;
    Init(one.slots);
    Init(two.slots);
    Init(three.slots);
    Init(four.slots);
    void* const* fifth = Init(five.slots);
    EXPECT_EQ(PlatformsOf(fifth), 4u);
    EXPECT_EQ(In<api::ClFlushCall>(fifth)(nullptr), api::CL_SUCCESS);
    EXPECT_EQ(g_seen, 2);
  });
}

TEST(Doors, EmptyAndMissingSlotsStayEmpty) {
  IN_CHILD({
    static Loader<1> one;
    void* const* layer = Init(one.slots, 100);
    EXPECT_EQ(layer[SlotOf(api::ClCreateBufferCall::kIndex)], nullptr);
    EXPECT_EQ(layer[SlotOf(api::ClSVMAllocCall::kIndex)], nullptr);
    EXPECT_EQ(PlatformsOf(layer), 1u);
  });
}

TEST(Doors, LayerThatIsListedTwiceActsOnce) {
  IN_CHILD({
    static Loader<1> one;
    one.slots[SlotOf(api::ClCreateBufferCall::kIndex)] = reinterpret_cast<void*>(0x10);
    void* const* first = Init(one.slots);
    void* const* second = Init(first);
    EXPECT_EQ(second, first);
    EXPECT_EQ(PlatformsOf(second), 1u);
    EXPECT_EQ(g_seen, 1);
  });
}

TEST(Doors, ExtensionsOfTwoDriversAreKeptApart) {
  IN_CHILD({
    static Loader<1> one;
    static Loader<2> two;
    using LookUpCall = api::ClGetExtensionFunctionAddressCall;
    using Enqueue = api::ClEnqueueCommandBufferKHRCall::Signature;
    const char* name = "clEnqueueCommandBufferKHR";
    void* const* first = Init(one.slots);
    void* const* second = Init(two.slots);
    auto* of_one = reinterpret_cast<Enqueue*>(In<LookUpCall>(first)(name));
    auto* of_two = reinterpret_cast<Enqueue*>(In<LookUpCall>(second)(name));
    EXPECT_NE(of_one, of_two);
    g_seen = 0;
    EXPECT_EQ(of_one(0, nullptr, nullptr, 0, nullptr, nullptr), 1);
    EXPECT_EQ(of_two(0, nullptr, nullptr, 0, nullptr, nullptr), 2);
    EXPECT_EQ(g_seen, 2);
    // Asked again, and asked for what we hand out ourselves: the same.
    EXPECT_EQ(reinterpret_cast<Enqueue*>(In<LookUpCall>(first)(name)), of_one);
    EXPECT_EQ(LookUp(1, LookUpCall::kName, name, reinterpret_cast<void*>(of_one)),
              reinterpret_cast<void*>(of_one));
  });
}

TEST(Doors, UnknownNamesReachTheDriver) {
  IN_CHILD({
    static Loader<1> one;
    void* const* layer = Init(one.slots);
    auto* look_up = In<api::ClGetExtensionFunctionAddressCall>(layer);
    EXPECT_EQ(look_up("clUnheardOf"), reinterpret_cast<void*>(0x1234));
    EXPECT_EQ(look_up("clNothing"), nullptr);
    EXPECT_EQ(LookUp(0, "", nullptr, nullptr), nullptr);
  });
}

TEST(Doors, RealIsEmptyBeforeADoorOpens) { EXPECT_EQ(Real().clFlush, nullptr); }

TEST(Doors, OuterDoorIsPreferredForOurOwnCalls) {
  IN_CHILD({
    api::Real driver;
    driver.clFlush = &Loader<7>::Flush;
    bool fresh = false;
    const int inner = TakeDoor(intercept::DoorLevel::kInner, &fresh);
    OpenDoor(inner, intercept::DoorLevel::kInner, driver);
    EXPECT_EQ(reinterpret_cast<void*>(Real().clFlush), reinterpret_cast<void*>(&Loader<7>::Flush));
    static Loader<1> one;
    Init(one.slots);
    EXPECT_EQ(reinterpret_cast<void*>(Real().clFlush), reinterpret_cast<void*>(&Loader<1>::Flush));
  });
}

}  // namespace
}  // namespace flexai::backend::opencl
