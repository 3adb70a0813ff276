#include "flexai/backend/nvidia/channel_freeze.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <new>

#include "flexai/base/log.h"

namespace flexai::backend::nvidia {
namespace {

// What a control call of our own could not even ask.
constexpr uint32_t kNotAsked = 0xffffffff;

// Names of objects that we make: far from those that drivers and the module itself give.
constexpr rm::NvHandle kOwnHandles = 0xf1e80000;

bool IsChannel(uint32_t object_class) {
  switch (object_class) {
    case rm::VOLTA_CHANNEL_GPFIFO_A:
    case rm::TURING_CHANNEL_GPFIFO_A:
    case rm::AMPERE_CHANNEL_GPFIFO_A:
    case rm::HOPPER_CHANNEL_GPFIFO_A:
    case rm::BLACKWELL_CHANNEL_GPFIFO_A:
    case rm::BLACKWELL_CHANNEL_GPFIFO_B:
      return true;
    default:
      return false;
  }
}

bool IsCompute(uint32_t engine) {
  return engine == rm::NV2080_ENGINE_TYPE_GRAPHICS || engine == rm::NV2080_ENGINE_TYPE_NULL;
}

bool Belongs(const rm::NvHandle client, const rm::NvHandle handle, const rm::NvHandle gone_client,
             const rm::NvHandle parent, const rm::NvHandle gone) {
  return client == gone_client && (gone == client || handle == gone || parent == gone);
}

}  // namespace

int ChannelFreeze::Ioctl(int fd, unsigned long request, void* argument) {
  BeforeIoctl(request, argument);
  const int result = real_(fd, request, argument);
  const int saved = errno;
  if (result == 0) AfterIoctl(fd, request, argument);
  errno = saved;
  return result;
}

// What goes is forgotten first, because a channel that is gone would fail the call for all.
void ChannelFreeze::BeforeIoctl(unsigned long request, const void* argument) {
  const bool frees =
      _IOC_TYPE(request) == rm::NV_IOCTL_MAGIC && _IOC_NR(request) == rm::NV_ESC_RM_FREE;
  if (!frees || !argument) return;
  const auto& free = *static_cast<const rm::NVOS00_PARAMETERS*>(argument);
  std::lock_guard<std::mutex> lock(mu_);
  Gone(free.hRoot, free.hObjectOld);
}

void ChannelFreeze::AfterIoctl(int fd, unsigned long request, const void* argument) {
  if (_IOC_TYPE(request) != rm::NV_IOCTL_MAGIC || !argument) return;
  switch (_IOC_NR(request)) {
    case rm::NV_ESC_RM_ALLOC: {
      // The older form lacks the rights; what we read first is the same in both.
      const auto& made = *static_cast<const rm::NVOS64_PARAMETERS*>(argument);
      const bool older = _IOC_SIZE(request) < sizeof(made);
      const uint32_t status =
          older ? static_cast<const rm::NVOS21_PARAMETERS*>(argument)->status : made.status;
      if (status != rm::NV_OK) return;
      std::lock_guard<std::mutex> lock(mu_);
      return Made({fd, made.hRoot, made.hObjectParent, made.hObjectNew}, made.hClass,
                  made.pAllocParms);
    }
    case rm::NV_ESC_RM_CONTROL: {
      const auto& control = *static_cast<const rm::NVOS54_PARAMETERS*>(argument);
      if (control.status != rm::NV_OK) return;
      if (control.cmd == rm::NVA06C_CTRL_CMD_GPFIFO_SCHEDULE ||
          control.cmd == rm::NVA06F_CTRL_CMD_GPFIFO_SCHEDULE) {
        std::lock_guard<std::mutex> lock(mu_);
        return Scheduled(control.hClient, control.hObject);
      }
      if (control.cmd == rm::NVA06C_CTRL_CMD_SET_TIMESLICE && control.params) {
        std::lock_guard<std::mutex> lock(mu_);
        return TimeSliceSet(
            control.hClient, control.hObject,
            reinterpret_cast<const rm::NVA06C_CTRL_TIMESLICE_PARAMS*>(control.params)->timesliceUs);
      }
      return;
    }
    default:
      return;
  }
}

void ChannelFreeze::Made(const Object& object, uint32_t object_class, uint64_t parameters) {
  if (object_class == rm::NV20_SUBDEVICE_0) {
    (IsOurs(object) ? subdevices_ : others_).push_back(object);
  } else if (object_class == rm::KEPLER_CHANNEL_GROUP_A) {
    uint32_t engine = rm::NV2080_ENGINE_TYPE_GRAPHICS;
    if (parameters) {
      engine = reinterpret_cast<const rm::NV_CHANNEL_GROUP_ALLOCATION_PARAMETERS*>(parameters)
                   ->engineType;
    }
    groups_.push_back({object, engine, false, false, 0});
  } else if (IsChannel(object_class)) {
    Channel channel = {object, object.parent, true, false, 0};
    for (const Group& group : groups_) {
      if (group.client != object.client || group.handle != object.parent) continue;
      channel.device = group.parent;
      channel.compute = IsCompute(group.engine);
      channel.scheduled = group.scheduled;
    }
    if (channel.compute) MakeSubdevice(object, channel.device);
    channels_.push_back(channel);
    if (held_ && StopsChannels()) SetChannels(Order::kStop, 0);
  }
}

// An object goes with its parent, and everything with its client.
void ChannelFreeze::Gone(rm::NvHandle client, rm::NvHandle handle) {
  const auto belongs = [&](const auto& o) {
    return Belongs(o.client, o.handle, client, o.parent, handle);
  };
  std::erase_if(channels_, [&](const Channel& c) {
    return belongs(c) || (c.client == client && c.device == handle);
  });
  std::erase_if(groups_, belongs);
  std::erase_if(subdevices_, belongs);
  std::erase_if(others_, belongs);
}

// Held while the driver makes channels: they stop as soon as they could run.
void ChannelFreeze::Scheduled(rm::NvHandle client, rm::NvHandle handle) {
  rm::NvHandle parent = handle;
  for (Channel& channel : channels_) {
    if (channel.client != client) continue;
    if (channel.handle == handle) parent = channel.parent;
    if (channel.handle == handle || channel.parent == handle) channel.scheduled = true;
  }
  for (Group& group : groups_) {
    if (group.client != client || group.handle != parent) continue;
    group.scheduled = group.scheduled || parent == handle;
    group.may_run = true;
    ApplyTimeSlice(group);
  }
  if (held_ && StopsChannels()) SetChannels(Order::kStop, 0);
}

const ChannelFreeze::Object* ChannelFreeze::SubdeviceOf(rm::NvHandle client,
                                                        rm::NvHandle device) const {
  for (const Object& subdevice : subdevices_) {
    if (subdevice.client == client && subdevice.parent == device) return &subdevice;
  }
  return nullptr;
}

// The library may have asked for the card before we stood in front of it, as those do that are
// asked what they offer when they are loaded. Then we make a subdevice of our own, as its client,
// which the kernel module allows any number of times. It goes with the device.
void ChannelFreeze::MakeSubdevice(const Object& channel, rm::NvHandle device) {
  const auto is_of_device = [&](const Object& subdevice) {
    return subdevice.client == channel.client && subdevice.parent == device;
  };
  if (SubdeviceOf(channel.client, device) ||
      std::any_of(others_.begin(), others_.end(), is_of_device)) {
    return;
  }
  rm::NVOS64_PARAMETERS made = {};
  made.hRoot = channel.client;
  made.hObjectParent = device;
  made.hObjectNew = kOwnHandles + own_subdevices_++;
  made.hClass = rm::NV20_SUBDEVICE_0;
  const int result =
      real_(channel.fd, _IOWR('F', rm::NV_ESC_RM_ALLOC, rm::NVOS64_PARAMETERS), &made);
  const Object subdevice = {channel.fd, channel.client, device, made.hObjectNew};
  if (result == 0 && made.status == rm::NV_OK) {
    FLEXAI_LOG("slice", kDebug, "a subdevice of our own for channels that came later");
    (IsOurs(subdevice) ? subdevices_ : others_).push_back(subdevice);
    return;
  }
  FLEXAI_LOG("slice", kInfo, "no subdevice for the process's channels (status 0x%x)",
             result == 0 ? made.status : kNotAsked);
  others_.push_back(subdevice);  // not asked for again
}

// One that does not tell its name is nobody's: its card is held by the gate.
bool ChannelFreeze::IsOurs(const Object& subdevice) {
  if (uuid_.empty()) return true;
  rm::NV2080_CTRL_GPU_GET_GID_INFO_PARAMS name = {};
  const uint32_t status =
      Control(subdevice, rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO, &name, sizeof(name));
  name.data[sizeof(name.data) - 1] = 0;
  return status == rm::NV_OK && uuid_ == reinterpret_cast<const char*>(name.data);
}

bool ChannelFreeze::HasChannels() const {
  return std::any_of(channels_.begin(), channels_.end(), [this](const Channel& channel) {
    return SubdeviceOf(channel.client, channel.device) != nullptr;
  });
}

bool ChannelFreeze::CanStop(const Group& group) const {
  return group.may_run && IsCompute(group.engine) && SubdeviceOf(group.client, group.parent);
}

bool ChannelFreeze::CanStop(const Channel& channel) const {
  return channel.compute && channel.scheduled && SubdeviceOf(channel.client, channel.device);
}

// Compute channels only: copies that are under way go on, which harms nobody's share. The module
// counts: one that is stopped twice stands still until it was let go on twice. So an order is for
// those that have so many `stops`.
uint32_t ChannelFreeze::SetChannels(Order order, uint32_t stops) {
  uint32_t status = rm::NV_OK;
  for (const Object& subdevice : subdevices_) {
    Channel* some[rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_MAX_ENTRIES];
    uint32_t count = 0;
    const auto ask = [&] {
      if (count > 0 && status == rm::NV_OK) status = SetSome(subdevice, order, some, count);
      count = 0;
    };
    for (Channel& channel : channels_) {
      if (!CanStop(channel) || channel.stops != stops ||
          SubdeviceOf(channel.client, channel.device) != &subdevice) {
        continue;
      }
      some[count++] = &channel;
      if (count == rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_MAX_ENTRIES) ask();
    }
    ask();
  }
  return status == rm::NV_OK ? status : SetOneByOne(order, stops);
}

uint32_t ChannelFreeze::LetGo() {
  const uint32_t status = SetChannels(Order::kGo, 2);
  const uint32_t others = SetChannels(Order::kGo, 1);
  return status == rm::NV_OK ? others : status;
}

uint32_t ChannelFreeze::SetSome(const Object& subdevice, Order order, Channel* const* some,
                                uint32_t count) {
  rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS list = {};
  list.bDisable = order == Order::kGo ? 0 : 1;
  list.bOnlyDisableScheduling = order == Order::kStopScheduling ? 1 : 0;
  list.numChannels = count;
  for (uint32_t i = 0; i < count; ++i) {
    list.hClientList[i] = some[i]->client;
    list.hChannelList[i] = some[i]->handle;
  }
  const uint32_t status =
      Control(subdevice, rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS, &list, sizeof(list));
  for (uint32_t i = 0; i < count && status == rm::NV_OK; ++i) {
    order == Order::kGo ? --some[i]->stops : ++some[i]->stops;
  }
  return status;
}

uint32_t ChannelFreeze::Control(const Object& object, uint32_t command, void* parameters,
                                uint32_t size) {
  rm::NVOS54_PARAMETERS control = {};
  control.hClient = object.client;
  control.hObject = object.handle;
  control.cmd = command;
  control.params = reinterpret_cast<uintptr_t>(parameters);
  control.paramsSize = size;
  const int result =
      real_(object.fd, _IOWR('F', rm::NV_ESC_RM_CONTROL, rm::NVOS54_PARAMETERS), &control);
  return result == 0 ? control.status : kNotAsked;
}

// Told to stop, the driver takes off the card whatever is on it, a neighbour too that is there
// already. So where the card is handed over, scheduling is forbidden first, and then the own groups
// alone are taken off. Where no neighbour follows that is not enough: a process stays on the card,
// and does nothing after it was let go on.
uint32_t ChannelFreeze::Stop(bool handed_over) {
  if (handed_over && takes_off_ && (dropped_ & device::kHandOverLever) == 0) {
    uint32_t status = SetChannels(Order::kStopScheduling, 0);
    if (status == rm::NV_OK) status = TakeOffCard();
    if (status == rm::NV_OK) return status;
    takes_off_ = false;
    refused_ = status;
    FLEXAI_LOG("slice", kInfo, "the driver takes no group off the card (status 0x%x)", status);
    SetChannels(Order::kStop, 1);  // what is still on it
  }
  return SetChannels(Order::kStop, 0);
}

uint32_t ChannelFreeze::TakeOffCard() {
  uint32_t status = rm::NV_OK;
  for (const Group& group : groups_) {
    if (!CanStop(group)) continue;
    rm::NVA06C_CTRL_PREEMPT_PARAMS wait = {1, 0, 0};
    const uint32_t one = Control(group, rm::NVA06C_CTRL_CMD_PREEMPT, &wait, sizeof(wait));
    if (status == rm::NV_OK) status = one;
  }
  return status;
}

void ChannelFreeze::SetTimeSlice(uint32_t us) {
  std::lock_guard<std::mutex> lock(mu_);
  time_slice_us_ = us;
  for (Group& group : groups_) ApplyTimeSlice(group);
}

// The driver sets its own, at some time after it made the group: that is what is given back.
void ChannelFreeze::TimeSliceSet(rm::NvHandle client, rm::NvHandle handle, uint64_t us) {
  for (Group& group : groups_) {
    if (group.client != client || group.handle != handle) continue;
    group.own_slice_us = us;
    if (time_slice_us_ != 0) ApplyTimeSlice(group);
  }
}

// A driver that refuses leaves the card to go round as it does: slices are a help, no promise.
void ChannelFreeze::ApplyTimeSlice(Group& group) {
  if (!CanStop(group)) return;
  if ((dropped_ & device::kTimeSliceLever) != 0 && group.own_slice_us == 0) return;
  rm::NVA06C_CTRL_TIMESLICE_PARAMS slice = {};
  if (group.own_slice_us == 0) {
    if (time_slice_us_ == 0) return;
    if (Control(group, rm::NVA06C_CTRL_CMD_GET_TIMESLICE, &slice, sizeof(slice)) != rm::NV_OK) {
      return;
    }
    group.own_slice_us = slice.timesliceUs;
  }
  const bool ours = time_slice_us_ != 0 && (dropped_ & device::kTimeSliceLever) == 0;
  slice.timesliceUs = ours ? time_slice_us_ : group.own_slice_us;
  const uint32_t status = Control(group, rm::NVA06C_CTRL_CMD_SET_TIMESLICE, &slice, sizeof(slice));
  FLEXAI_LOG("slice", kDebug, "a time slice of %llu us: status 0x%x",
             static_cast<unsigned long long>(slice.timesliceUs), status);
}

// One that the kernel module no longer knows must not keep the others from stopping, or from going
// on: it is left out from now on.
uint32_t ChannelFreeze::SetOneByOne(Order order, uint32_t stops) {
  uint32_t first = rm::NV_OK;
  bool any = false;
  for (size_t i = 0; i < channels_.size();) {
    Channel* one = &channels_[i];
    if (CanStop(*one) && one->stops == stops) {
      const uint32_t status = SetSome(*SubdeviceOf(one->client, one->device), order, &one, 1);
      any = any || status == rm::NV_OK;
      if (status != rm::NV_OK && first == rm::NV_OK) first = status;
      if (status == rm::NV_ERR_OBJECT_NOT_FOUND) {
        channels_.erase(channels_.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
    }
    ++i;
  }
  return any ? rm::NV_OK : first;
}

void ChannelFreeze::GiveUp(uint32_t status) {
  given_up_ = true;
  refused_ = status;
  FLEXAI_LOG(
      "slice", kWarn,
      "the driver does not stop channels (status 0x%x): the share is held by gating launches, "
      "less exactly",
      status);
}

slice::LeverKind ChannelFreeze::kind() const {
  return workers() > 0 ? slice::LeverKind::kFreeze : slice::LeverKind::kGate;
}

uint32_t ChannelFreeze::workers() const {
  std::lock_guard<std::mutex> lock(mu_);
  if (!StopsChannels()) return 0;
  return static_cast<uint32_t>(
      std::count_if(channels_.begin(), channels_.end(),
                    [this](const Channel& channel) { return CanStop(channel); }));
}

void ChannelFreeze::Hold(bool handed_over) {
  std::lock_guard<std::mutex> lock(mu_);
  held_ = true;
  if (StopsChannels()) {
    const uint32_t status = Stop(handed_over);
    if (status != rm::NV_OK) {
      GiveUp(status);
      LetGo();
    }
  }
  // Without channels of its own, a process may still use another's (a shared context).
  if (!StopsChannels() || !HasChannels()) gate_->Hold(handed_over);
}

void ChannelFreeze::Release() {
  std::lock_guard<std::mutex> lock(mu_);
  held_ = false;
  if (StopsChannels()) LetGo();
  gate_->Release();
}

// What is stopped by one lever when it is dropped is held by the other from then on.
void ChannelFreeze::Drop(uint32_t levers) {
  std::lock_guard<std::mutex> lock(mu_);
  const bool stopped = StopsChannels();
  const uint32_t lost = levers & ~dropped_;
  if (stopped && held_ && (lost & device::kStopLever) != 0) LetGo();
  dropped_ = levers;
  for (Group& group : groups_) ApplyTimeSlice(group);
  if (lost & device::kStopLever) {
    FLEXAI_LOG("slice", kWarn,
               "the driver was found not to stop what runs on this card (flexai doctor says more): "
               "the share is held by gating launches, less exactly");
  } else if (lost != 0) {
    FLEXAI_LOG("slice", kInfo, "levers 0x%x were found not to hold on this card", lost);
  }
  if (!held_ || stopped == StopsChannels()) return;
  if (stopped) {
    gate_->Hold(/*handed_over=*/false);
  } else if (Stop(/*handed_over=*/false) == rm::NV_OK && HasChannels()) {
    gate_->Release();
  }
}

uint32_t ChannelFreeze::refused() const {
  std::lock_guard<std::mutex> lock(mu_);
  return refused_;
}

bool ChannelFreeze::takes_off() const {
  std::lock_guard<std::mutex> lock(mu_);
  return takes_off_;
}

uint32_t ChannelFreeze::ReadTimeSlice() {
  std::lock_guard<std::mutex> lock(mu_);
  for (const Group& group : groups_) {
    if (!CanStop(group)) continue;
    rm::NVA06C_CTRL_TIMESLICE_PARAMS slice = {};
    const uint32_t status =
        Control(group, rm::NVA06C_CTRL_CMD_GET_TIMESLICE, &slice, sizeof(slice));
    return status == rm::NV_OK ? static_cast<uint32_t>(slice.timesliceUs) : 0;
  }
  return 0;
}

void ChannelFreeze::Forget() {
  // The lock may have been held by a thread that does not exist in the child.
  new (&mu_) std::mutex;
  subdevices_.clear();
  others_.clear();
  groups_.clear();
  channels_.clear();
  held_ = false;
  time_slice_us_ = 0;
  dropped_ = 0;
}

}  // namespace flexai::backend::nvidia
