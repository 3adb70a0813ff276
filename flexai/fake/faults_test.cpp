#include "flexai/fake/faults.h"

#include <gtest/gtest.h>

namespace flexai::fake {
namespace {

TEST(Faults, HitTheNamedCallOnly) {
  Faults faults;
  int64_t code = 0;
  EXPECT_FALSE(faults.Take("alloc", &code));
  ASSERT_TRUE(faults.Set("alloc@2=-4,sync=-36").ok());
  EXPECT_FALSE(faults.Take("alloc", &code));
  EXPECT_TRUE(faults.Take("alloc", &code));
  EXPECT_EQ(code, -4);
  EXPECT_FALSE(faults.Take("alloc", &code));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(faults.Take("sync", &code));
  EXPECT_EQ(code, -36);
  EXPECT_FALSE(faults.Take("free", &code));
  ASSERT_TRUE(faults.Set("").ok());
  EXPECT_FALSE(faults.Take("sync", &code));
}

TEST(Faults, KillEndsTheProcess) {
  EXPECT_EXIT(
      {
        Faults faults;
        int64_t code = 0;
        if (faults.Set("sync@2=kill").ok() && !faults.Take("sync", &code))
          faults.Take("sync", &code);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(Faults, UnreadableTextIsNamedAndChangesNothing) {
  Faults faults;
  int64_t code = 0;
  ASSERT_TRUE(faults.Set("sync=-1").ok());
  for (const char* bad : {"sync", "=3", "sync@0=1", "sync@x=1", "sync=maybe", "a=1,,b=2"}) {
    const Status status = faults.Set(bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(faults.Take("sync", &code));
  EXPECT_EQ(faults.Set("a=b").message(), "cannot read the fault 'a=b'");
}

}  // namespace
}  // namespace flexai::fake
