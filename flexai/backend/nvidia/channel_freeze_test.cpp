#include "flexai/backend/nvidia/channel_freeze.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "flexai/backend/nvidia/fake_cards.h"
#include "flexai/backend/nvidia/fake_rm.h"

namespace flexai::backend::nvidia {
namespace {

using fake_driver::PretendChannels;
using fake_driver::PretendModule;

constexpr int kCompute = 8, kCopy = 12;
constexpr uint32_t kRefusal = rm::NV_ERR_NOT_SUPPORTED;

// Functions with C linkage have no object: the test's are here.
PretendModule* g_module = nullptr;
ChannelFreeze* g_freeze = nullptr;
int AskModule(int fd, unsigned long request, void* argument) {
  return g_module->Ioctl(fd, request, argument);
}
int AskThroughFreeze(int fd, unsigned long request, void* argument) {
  return g_freeze->Ioctl(fd, request, argument);
}

// As for a library that asks for the card while it is loaded: seen from the first group on.
bool g_sees = false;
int AskAndBeSeenLate(int fd, unsigned long request, void* argument) {
  if (_IOC_NR(request) == rm::NV_ESC_RM_ALLOC) {
    const auto& made = *static_cast<const rm::NVOS64_PARAMETERS*>(argument);
    if (made.hClass == rm::KEPLER_CHANNEL_GROUP_A) g_sees = true;
  }
  return g_sees ? AskThroughFreeze(fd, request, argument) : AskModule(fd, request, argument);
}

class ChannelFreezeTest : public ::testing::Test {
 protected:
  ChannelFreezeTest() {
    setenv("FLEXAI_FAKE_CARDS", "2", 1);
    g_module = &module_;
    g_freeze = &freeze_;
    freeze_.SetReal(&AskModule);
  }
  static std::unique_ptr<PretendChannels> MakeChannels(int compute = kCompute, int card = 0) {
    auto made = std::make_unique<PretendChannels>(&AskThroughFreeze, 3, compute, kCopy,
                                                  /*one_by_one=*/false, card);
    EXPECT_TRUE(made->ok());
    return made;
  }
  /// Whether a launch passes the gate within `ms`.
  bool Passes(int ms) {
    std::atomic<bool> passed{false};
    std::thread launch([&] {
      gate_.Pass();
      passed = true;
    });
    for (int waited = 0; waited < ms && !passed; ++waited) usleep(1000);  // poll
    const bool open = passed;
    if (!open) gate_.Release();
    launch.join();
    return open;
  }
  bool GateIsClosed() { return !Passes(20); }
  bool GateIsOpen() { return Passes(20000); }

  slice::GateLever gate_;
  PretendModule module_;
  ChannelFreeze freeze_{&gate_};
};

TEST_F(ChannelFreezeTest, StopsComputeChannelsOnly) {
  const auto channels = MakeChannels();
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kFreeze);
  EXPECT_EQ(freeze_.workers(), static_cast<uint32_t>(kCompute));
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
}

TEST_F(ChannelFreezeTest, WithoutChannelsTheGateIsClosed) {
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kGate);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_TRUE(GateIsClosed());
  freeze_.Release();
  EXPECT_TRUE(GateIsOpen());
}

TEST_F(ChannelFreezeTest, KeepsToItsCard) {
  freeze_.KeepTo(fake_driver::UuidOfCard(1));
  const auto there = MakeChannels(kCompute, 0);
  // None that it could stop, whatever the process has elsewhere.
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_TRUE(GateIsClosed());
  freeze_.Release();
  const auto here = MakeChannels(3, 1);
  EXPECT_EQ(freeze_.workers(), 3u);
  for (const bool handed_over : {false, true}) {
    freeze_.Hold(handed_over);
    EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
    EXPECT_TRUE(GateIsOpen());
    freeze_.Release();
    EXPECT_EQ(module_.running(), kCompute + 3u);
  }
  EXPECT_EQ(module_.group_stops(), 1u);
  freeze_.SetTimeSlice(50);
  EXPECT_EQ(module_.time_slice(), 2048u) << "of the first group, which is on the other card";
}

// A module that does not say which card it is about: the gate holds, and nothing of others stops.
TEST_F(ChannelFreezeTest, CardsWithoutNamesAreHeldByTheGate) {
  module_.Refuse(rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO, kRefusal);
  freeze_.KeepTo(fake_driver::UuidOfCard(0));
  const auto channels = MakeChannels();
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  EXPECT_TRUE(GateIsClosed());
}

TEST_F(ChannelFreezeTest, SeenLateTheyStopThroughASubdeviceOfOurs) {
  g_sees = false;
  const PretendChannels channels(&AskAndBeSeenLate, 3, kCompute, kCopy);
  ASSERT_TRUE(channels.ok());
  EXPECT_EQ(freeze_.workers(), static_cast<uint32_t>(kCompute));
  for (const bool handed_over : {false, true}) {
    freeze_.Hold(handed_over);
    EXPECT_EQ(module_.running(), 0u);
    EXPECT_TRUE(GateIsOpen());
    freeze_.Release();
    EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  }
  EXPECT_EQ(module_.group_stops(), 1u);
}

TEST_F(ChannelFreezeTest, SeenLateOnAnotherCardTheyAreLeftAlone) {
  freeze_.KeepTo(fake_driver::UuidOfCard(1));
  for (const int card : {0, 1}) {
    g_sees = false;
    const PretendChannels channels(&AskAndBeSeenLate, 3, kCompute, kCopy, /*one_by_one=*/false,
                                   card);
    ASSERT_TRUE(channels.ok());
    EXPECT_EQ(freeze_.workers(), static_cast<uint32_t>(card == 1 ? kCompute : 0));
  }
}

TEST_F(ChannelFreezeTest, MoreChannelsThanOneCallTakes) {
  const auto channels = MakeChannels(200);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 200u);
}

TEST_F(ChannelFreezeTest, SeveralClients) {
  const auto first = MakeChannels(3), second = MakeChannels(4);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 7u);
}

TEST_F(ChannelFreezeTest, ChannelsMadeWhileHeldStandStill) {
  const auto first = MakeChannels(2);
  freeze_.Hold(/*handed_over=*/false);
  const auto second = MakeChannels(5);
  EXPECT_EQ(module_.scheduled(), 7u);
  EXPECT_EQ(module_.running(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 7u);
}

TEST_F(ChannelFreezeTest, FreedObjectsAreForgotten) {
  auto first = MakeChannels(2);
  const auto second = MakeChannels(5);
  second->Free(second->channels().front());
  EXPECT_EQ(freeze_.workers(), 6u);
  first.reset();
  EXPECT_EQ(freeze_.workers(), 4u);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 4u);
}

// One that went in a way we did not see must not keep the others from stopping, or held for ever.
TEST_F(ChannelFreezeTest, AChannelThatIsGoneSpoilsNothing) {
  const auto channels = MakeChannels(5);
  PretendChannels unseen(&AskModule, 3, 0, 0);  // another way to the same module
  rm::NVOS00_PARAMETERS free = {channels->client(), 0, channels->channels()[2], 0};
  module_.Ioctl(3, _IOWR('F', rm::NV_ESC_RM_FREE, rm::NVOS00_PARAMETERS), &free);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_EQ(freeze_.workers(), 4u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 4u);
}

TEST_F(ChannelFreezeTest, ADriverThatRefusesIsGated) {
  const auto channels = MakeChannels();
  module_.Refuse(rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS, kRefusal);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kGate);
  EXPECT_TRUE(GateIsClosed());
  freeze_.Release();
  EXPECT_TRUE(GateIsOpen());
  // And stays gated, because half of a lever is none.
  module_.Refuse(rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS, 0);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  EXPECT_TRUE(GateIsClosed());
  freeze_.Release();
}

// A neighbour that has the card already is not thrown off it.
TEST_F(ChannelFreezeTest, HandedOverTakesOwnGroupsOffTheCard) {
  const auto channels = MakeChannels();
  freeze_.Hold(/*handed_over=*/true);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_EQ(module_.whole_stops(), 0u);
  EXPECT_EQ(module_.group_stops(), 1u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.whole_stops(), 1u);
  freeze_.Release();
}

TEST_F(ChannelFreezeTest, GroupsWhoseChannelsWereScheduledOneByOne) {
  const PretendChannels channels(&AskThroughFreeze, 3, kCompute, kCopy, /*one_by_one=*/true);
  freeze_.SetTimeSlice(300);
  EXPECT_EQ(module_.time_slice(), 300u);
  freeze_.Hold(/*handed_over=*/true);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_EQ(module_.group_stops(), 1u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
}

TEST_F(ChannelFreezeTest, WhereNoGroupCanBeTakenOffAllIsStopped) {
  const auto channels = MakeChannels();
  module_.Refuse(rm::NVA06C_CTRL_CMD_PREEMPT, kRefusal);
  freeze_.Hold(/*handed_over=*/true);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_EQ(module_.whole_stops(), 1u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kFreeze);
}

TEST_F(ChannelFreezeTest, TimeSlicesAreSetAndGivenBack) {
  freeze_.SetTimeSlice(300);
  const auto channels = MakeChannels();
  EXPECT_EQ(module_.time_slice(), 300u) << "of a group that is made later";
  freeze_.SetTimeSlice(20000);
  EXPECT_EQ(module_.time_slice(), 20000u);
  freeze_.SetTimeSlice(0);
  EXPECT_EQ(module_.time_slice(), 2048u) << "as it was";
}

TEST_F(ChannelFreezeTest, ATimeSliceOfTheDriversOwnComesLater) {
  const auto channels = MakeChannels();
  freeze_.SetTimeSlice(300);
  rm::NVA06C_CTRL_TIMESLICE_PARAMS own = {1024};
  rm::NVOS54_PARAMETERS call = {};
  call.hClient = channels->client();
  call.hObject = channels->group();
  call.cmd = rm::NVA06C_CTRL_CMD_SET_TIMESLICE;
  call.params = reinterpret_cast<uintptr_t>(&own);
  call.paramsSize = sizeof(own);
  freeze_.Ioctl(3, _IOWR('F', rm::NV_ESC_RM_CONTROL, rm::NVOS54_PARAMETERS), &call);
  EXPECT_EQ(module_.time_slice(), 300u);
  freeze_.SetTimeSlice(0);
  EXPECT_EQ(module_.time_slice(), 1024u);
}

TEST_F(ChannelFreezeTest, AfterForkNothingIsAsked) {
  const auto channels = MakeChannels();
  freeze_.Hold(/*handed_over=*/false);
  freeze_.Forget();
  EXPECT_EQ(freeze_.workers(), 0u);
  freeze_.Release();
  EXPECT_EQ(module_.running(), 0u);  // the parent's, who lets them go itself
}

TEST_F(ChannelFreezeTest, OtherIoctlsPassUnchanged) {
  errno = 0;
  EXPECT_EQ(freeze_.Ioctl(3, _IOR('U', 1, int), nullptr), -1);
  EXPECT_EQ(errno, ENOTTY);
}

// While one thread makes and frees channels another holds and releases: at the end all run.
TEST_F(ChannelFreezeTest, ManyThreads) {
  std::atomic<bool> end{false};
  std::thread agent([&] {
    while (!end) {
      freeze_.Hold(/*handed_over=*/false);
      freeze_.Release();
    }
  });
  std::vector<std::thread> makers;
  for (int t = 0; t < 3; ++t) {
    makers.emplace_back([] {
      for (int i = 0; i < 200; ++i) MakeChannels(3);
    });
  }
  for (auto& maker : makers) maker.join();
  const auto last = MakeChannels(3);
  end = true;
  agent.join();
  EXPECT_EQ(module_.running(), 3u);
  EXPECT_EQ(module_.scheduled(), 3u);
}

TEST_F(ChannelFreezeTest, DroppedItUsesTheGate) {
  const auto channels = MakeChannels();
  freeze_.Drop(device::kStopLever);
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kGate);
  EXPECT_EQ(freeze_.workers(), 0u);
  freeze_.Hold(/*handed_over=*/true);
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  EXPECT_TRUE(GateIsClosed());
  freeze_.Release();
  freeze_.Drop(0);
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kFreeze);
  freeze_.Hold(/*handed_over=*/false);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_TRUE(GateIsOpen());
  freeze_.Release();
}

TEST_F(ChannelFreezeTest, DroppedWhileHeldItStaysHeld) {
  const auto channels = MakeChannels();
  freeze_.Hold(/*handed_over=*/false);
  freeze_.Drop(device::kStopLever);
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute)) << "left stopped for ever";
  EXPECT_TRUE(GateIsClosed());
  freeze_.Hold(/*handed_over=*/false);  // the test's look has opened the gate
  freeze_.Drop(0);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_TRUE(GateIsOpen());
  freeze_.Release();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
}

TEST_F(ChannelFreezeTest, MadeWhileDroppedAndHeldChannelsRun) {
  freeze_.Drop(device::kStopLever);
  freeze_.Hold(/*handed_over=*/false);
  const auto channels = MakeChannels();
  EXPECT_EQ(module_.running(), static_cast<uint32_t>(kCompute));
  EXPECT_EQ(module_.whole_stops(), 0u);
  freeze_.Release();
}

TEST_F(ChannelFreezeTest, DroppedHandOverStopsAll) {
  const auto channels = MakeChannels();
  freeze_.Drop(device::kHandOverLever);
  EXPECT_EQ(freeze_.kind(), slice::LeverKind::kFreeze);
  freeze_.Hold(/*handed_over=*/true);
  EXPECT_EQ(module_.running(), 0u);
  EXPECT_EQ(module_.group_stops(), 0u);
  EXPECT_EQ(module_.whole_stops(), 1u);
  freeze_.Release();
}

TEST_F(ChannelFreezeTest, DroppedTimeSlicesAreTheDriversOwn) {
  const auto channels = MakeChannels();
  EXPECT_EQ(freeze_.ReadTimeSlice(), 2048u);
  freeze_.SetTimeSlice(20000);
  EXPECT_EQ(freeze_.ReadTimeSlice(), 20000u);
  freeze_.Drop(device::kTimeSliceLever);
  EXPECT_EQ(module_.time_slice(), 2048u);
  freeze_.SetTimeSlice(300);
  EXPECT_EQ(module_.time_slice(), 2048u);
  freeze_.Drop(0);
  EXPECT_EQ(module_.time_slice(), 300u);
}

}  // namespace
}  // namespace flexai::backend::nvidia
