// The lever for NVIDIA cards: the process's own compute channels are stopped in the middle of
// whatever runs, and started again, by a control call of the kernel module that any process may
// make about its own channels. Which channels there are is learnt from the calls by which the
// driver makes them (api/cuda/rm.toml; measured: docs/reference/h100-results.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "flexai/device/prober.h"
#include "flexai/slice/lever.h"
#include "rm/types.h"

namespace flexai::backend::nvidia {

namespace rm = ::flexai::api::rm;

class ChannelFreeze : public slice::Lever {
 public:
  using IoctlFn = int (*)(int fd, unsigned long request, void* argument);

  /// `gate` is closed instead where channels cannot be stopped.
  explicit ChannelFreeze(slice::GateLever* gate) : gate_(gate) {}

  /// The driver's call of ioctl goes through here. Thread: any.
  int Ioctl(int fd, unsigned long request, void* argument);
  /// Or these are called around it.
  void BeforeIoctl(unsigned long request, const void* argument);
  void AfterIoctl(int fd, unsigned long request, const void* argument);
  /// What stands behind Ioctl; null: channels are unknown, and the gate is all there is.
  /// Thread: one, before the first Ioctl.
  void SetReal(IoctlFn real) { real_ = real; }
  /// Only channels on the card of this name are stopped; without, those on all cards.
  /// Thread: one, before the first Ioctl.
  void KeepTo(const std::string& uuid) { uuid_ = uuid; }

  slice::LeverKind kind() const override;
  void Hold(bool handed_over) override;
  void Release() override;
  void SetTimeSlice(uint32_t us) override;
  void Drop(uint32_t levers) override;
  /// Compute channels.
  uint32_t workers() const override;

  /// With which status the driver last refused to stop channels, or to take groups off the card; 0
  /// = it did not.
  uint32_t refused() const;
  /// Whether groups are taken off the card one at a time, as far as the driver was asked.
  bool takes_off() const;
  /// The time slice of the first compute group, asked from the driver. Units: us; 0 = unknown.
  uint32_t ReadTimeSlice();

  /// In a fork's child, which has no channels: the driver does not live on there.
  void Forget();

 private:
  /// An object of the kernel module that belongs to this process.
  struct Object {
    int fd;
    rm::NvHandle client, parent, handle;
  };
  struct Group : Object {
    uint32_t engine;
    bool scheduled;         // as a whole: so is every channel made in it later
    bool may_run;           // it or one of its channels may run
    uint64_t own_slice_us;  // the driver's own time slice, once it was changed; 0 = not changed
  };
  struct Channel : Object {
    rm::NvHandle device;
    bool compute;
    bool scheduled;  // may run: before that the driver is still making it
    uint32_t stops;  // that it was not yet let go on from: the module counts them
  };

  void Made(const Object& object, uint32_t object_class, uint64_t parameters);
  void Gone(rm::NvHandle client, rm::NvHandle handle);
  void Scheduled(rm::NvHandle client, rm::NvHandle handle);
  void TimeSliceSet(rm::NvHandle client, rm::NvHandle handle, uint64_t us);
  const Object* SubdeviceOf(rm::NvHandle client, rm::NvHandle device) const;
  void MakeSubdevice(const Object& channel, rm::NvHandle device);
  bool IsOurs(const Object& subdevice);
  bool HasChannels() const;
  bool CanStop(const Group& group) const;
  bool CanStop(const Channel& channel) const;
  enum class Order : uint8_t { kGo, kStop, kStopScheduling };
  uint32_t SetChannels(Order order, uint32_t stops);
  uint32_t LetGo();
  uint32_t SetSome(const Object& subdevice, Order order, Channel* const* some, uint32_t count);
  uint32_t SetOneByOne(Order order, uint32_t stops);
  uint32_t Stop(bool handed_over);
  uint32_t TakeOffCard();
  void ApplyTimeSlice(Group& group);
  uint32_t Control(const Object& object, uint32_t command, void* parameters, uint32_t size);
  void GiveUp(uint32_t status);
  bool StopsChannels() const { return !given_up_ && (dropped_ & device::kStopLever) == 0; }

  slice::GateLever* gate_;
  IoctlFn real_ = nullptr;
  std::string uuid_;
  mutable std::mutex mu_;  // guards what follows; held during a control call, never on a launch
  std::vector<Object> subdevices_;
  std::vector<Object> others_;  // subdevices of other cards, and of cards without a name
  std::vector<Group> groups_;
  std::vector<Channel> channels_;
  bool held_ = false;
  bool given_up_ = false;
  bool takes_off_ = true;
  uint32_t refused_ = 0;
  uint32_t dropped_ = 0;  // levers
  uint32_t time_slice_us_ = 0;
  uint32_t own_subdevices_ = 0;
};

}  // namespace flexai::backend::nvidia
