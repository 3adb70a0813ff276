#include "flexai/slice/asker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <vector>

namespace flexai::slice {
namespace {

constexpr int kPatienceMs = 20000;

/// A driver that is asked. Never freed, as in programs: the thread may outlive the test.
struct Driver {
  QueueWatch watch;
  std::atomic<int> asked{0};
  std::atomic<bool> blocks{false};
  std::atomic<bool> done{false};
  Asker asker{&watch,
              [](void* driver) {
                auto* self = static_cast<Driver*>(driver);
                ++self->asked;
                while (self->blocks) usleep(1000);  // poll
                if (self->done) self->watch.AllGone();
              },
              this};
};
Driver* MakeDriver() {
  static auto* const all = new std::vector<Driver*>;
  all->push_back(new Driver);
  return all->back();
}

class AskerTest : public ::testing::Test {
 protected:
  ~AskerTest() override {
    driver_.blocks = false;
    driver_.asker.Stop();
  }
  /// Whether so many questions have been asked, within the patience.
  bool Asked(int questions) {
    for (int ms = 0; ms < kPatienceMs && driver_.asked < questions; ++ms) usleep(1000);  // poll
    return driver_.asked == questions;
  }
  void LookAt(int ms) { driver_.asker.Look(kSecond + ms * kMillisecond); }

  Driver& driver_ = *MakeDriver();
};

TEST_F(AskerTest, AsksWhereNothingIsLaunchedAndNobodyWaits) {
  driver_.watch.Launched(3);
  for (const int ms : {0, 20, 39}) LookAt(ms);
  EXPECT_EQ(driver_.asked, 0);
  LookAt(41);
  EXPECT_TRUE(Asked(1));
  LookAt(100);
  LookAt(125);
  EXPECT_TRUE(Asked(2)) << "less and less often";
  driver_.done = true;
  LookAt(400);
  ASSERT_TRUE(Asked(3));
  for (int ms = 0; ms < kPatienceMs && driver_.watch.IsFull(); ++ms) usleep(1000);  // poll
  LookAt(2000);
  LookAt(4000);
  EXPECT_TRUE(Asked(3)) << "all is done";
}

TEST_F(AskerTest, LaunchesPutItOff) {
  for (int ms = 0; ms < 400; ms += 30) {
    driver_.watch.Launched(3);
    LookAt(ms);
  }
  EXPECT_EQ(driver_.asked, 0);
  LookAt(500);
  EXPECT_TRUE(Asked(1));
}

TEST_F(AskerTest, ADriverThatDoesNotAnswerHoldsNobodyUp) {
  driver_.watch.Launched(3);
  driver_.blocks = true;
  LookAt(0);
  LookAt(50);
  ASSERT_TRUE(Asked(1));
  LookAt(5000);
  driver_.asker.Stop();
  driver_.blocks = false;
  usleep(20000);  // poll: nothing may follow
  EXPECT_EQ(driver_.asked, 1);
}

}  // namespace
}  // namespace flexai::slice
