// The ICD door on a driver with an old, short dispatch table: what is a function gets our entry,
// what lies behind the table is left alone, and a driver that cannot be had is not offered.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "flexai/backend/opencl/doors.h"
#include "opencl/doors.h"

namespace flexai::backend::opencl {

extern "C" {
api::cl_int clIcdGetPlatformIDsKHR(api::cl_uint, api::cl_platform_id*, api::cl_uint*);
api::cl_int clGetPlatformInfo(api::cl_platform_id, api::cl_platform_info, size_t, void*, size_t*);
void* clGetExtensionFunctionAddress(const char*);
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

TEST(Icd, StandsBeforeADriverWithAShortTable) {
  setenv("FLEXAI_OPENCL_ICD", FLEXAI_TEST_DRIVER, 1);
  EXPECT_EXIT(
      {
        EXPECT_TRUE(g_chassis.AddStage(&g_stage).ok());
        api::cl_platform_id platform = nullptr;
        api::cl_uint count = 0;
        EXPECT_EQ(clIcdGetPlatformIDsKHR(1, &platform, &count), api::CL_SUCCESS);
        EXPECT_EQ(count, 1u);
        EXPECT_EQ(g_seen, 1);
        void** table = *reinterpret_cast<void***>(platform);
        auto* flush =
            reinterpret_cast<api::ClFlushCall::Signature*>(table[SlotOf(api::ClFlushCall::kIndex)]);
        EXPECT_EQ(reinterpret_cast<void*>(flush), EntriesAt(0)[api::ClFlushCall::kIndex]);
        EXPECT_EQ(flush(nullptr), 18);
        EXPECT_EQ(clGetPlatformInfo(platform, 0, 0, nullptr, nullptr), 17);
        EXPECT_EQ(g_seen, 3);
        EXPECT_EQ(Real().clFlush(nullptr), 18);
        EXPECT_EQ(g_seen, 3);
        EXPECT_EQ(table[SlotOf(api::ClFinishCall::kIndex)], nullptr);
        for (uint64_t i = 0; i < 8; ++i) {
          EXPECT_EQ(reinterpret_cast<uint64_t*>(table + 73)[i], i + 1);
        }
        EXPECT_EQ(clGetExtensionFunctionAddress("clIcdGetPlatformIDsKHR"),
                  reinterpret_cast<void*>(&clIcdGetPlatformIDsKHR));
        EXPECT_EQ(clGetExtensionFunctionAddress("clNothing"), nullptr);
        EXPECT_EQ(clGetExtensionFunctionAddress(nullptr), nullptr);
        _exit(testing::Test::HasFailure() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(Icd, MissingDriverIsNoPlatform) {
  setenv("FLEXAI_OPENCL_ICD", "/no/such/driver", 1);
  EXPECT_EXIT(
      {
        const bool none = clIcdGetPlatformIDsKHR(0, nullptr, nullptr) == -1001 &&
                          clGetPlatformInfo(nullptr, 0, 0, nullptr, nullptr) == -1001 &&
                          !clGetExtensionFunctionAddress("clNothing");
        _exit(none ? 0 : 1);
      },
      testing::ExitedWithCode(0), "cannot open the OpenCL driver /no/such/driver");
}

TEST(Icd, LibraryThatIsNoDriverIsRefused) {
  setenv("FLEXAI_OPENCL_ICD", "libm.so.6", 1);
  EXPECT_EXIT(_exit(clIcdGetPlatformIDsKHR(0, nullptr, nullptr) == -1001 ? 0 : 1),
              testing::ExitedWithCode(0), "libm.so.6 is no OpenCL driver");
}

}  // namespace
}  // namespace flexai::backend::opencl
