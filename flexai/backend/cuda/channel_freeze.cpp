#include "flexai/backend/cuda/channel_freeze.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <new>

#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

// What a control call of our own could not even ask.
constexpr uint32_t kNotAsked = 0xffffffff;

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

bool Belongs(const rm::NvHandle client, const rm::NvHandle handle, const rm::NvHandle gone_client,
             const rm::NvHandle parent, const rm::NvHandle gone) {
  return client == gone_client && (gone == client || handle == gone || parent == gone);
}

}  // namespace

int ChannelFreeze::Ioctl(int fd, unsigned long request, void* argument) {
  if (_IOC_TYPE(request) != rm::NV_IOCTL_MAGIC || !argument) return real_(fd, request, argument);
  if (_IOC_NR(request) == rm::NV_ESC_RM_FREE) {
    // First, because a channel that is gone would fail the call for all.
    const auto& free = *static_cast<const rm::NVOS00_PARAMETERS*>(argument);
    std::lock_guard<std::mutex> lock(mu_);
    Gone(free.hRoot, free.hObjectOld);
  }
  const int result = real_(fd, request, argument);
  const int saved = errno;
  if (result == 0) Learn(fd, request, argument);
  errno = saved;
  return result;
}

void ChannelFreeze::Learn(int fd, unsigned long request, const void* argument) {
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
      const bool starts = control.cmd == rm::NVA06C_CTRL_CMD_GPFIFO_SCHEDULE ||
                          control.cmd == rm::NVA06F_CTRL_CMD_GPFIFO_SCHEDULE;
      if (!starts || control.status != rm::NV_OK) return;
      std::lock_guard<std::mutex> lock(mu_);
      return Scheduled(control.hClient, control.hObject);
    }
    default:
      return;
  }
}

void ChannelFreeze::Made(const Object& object, uint32_t object_class, uint64_t parameters) {
  if (object_class == rm::NV20_SUBDEVICE_0) {
    subdevices_.push_back(object);
  } else if (object_class == rm::KEPLER_CHANNEL_GROUP_A) {
    uint32_t engine = rm::NV2080_ENGINE_TYPE_GRAPHICS;
    if (parameters) {
      engine = reinterpret_cast<const rm::NV_CHANNEL_GROUP_ALLOCATION_PARAMETERS*>(parameters)
                   ->engineType;
    }
    groups_.push_back({object, engine, false});
  } else if (IsChannel(object_class)) {
    Channel channel = {object, object.parent, true, false};
    for (const Group& group : groups_) {
      if (group.client != object.client || group.handle != object.parent) continue;
      channel.device = group.parent;
      channel.compute = group.engine == rm::NV2080_ENGINE_TYPE_GRAPHICS ||
                        group.engine == rm::NV2080_ENGINE_TYPE_NULL;
      channel.scheduled = group.scheduled;
    }
    channels_.push_back(channel);
    if (held_ && channel.scheduled) SetChannels(/*stop=*/true);
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
}

// Held while the driver makes channels: they stop as soon as they could run.
void ChannelFreeze::Scheduled(rm::NvHandle client, rm::NvHandle handle) {
  for (Group& group : groups_) {
    if (group.client == client && group.handle == handle) group.scheduled = true;
  }
  for (Channel& channel : channels_) {
    if (channel.client == client && (channel.handle == handle || channel.parent == handle)) {
      channel.scheduled = true;
    }
  }
  if (held_) SetChannels(/*stop=*/true);
}

const ChannelFreeze::Object* ChannelFreeze::SubdeviceOf(const Channel& channel) const {
  for (const Object& subdevice : subdevices_) {
    if (subdevice.client == channel.client && subdevice.parent == channel.device) {
      return &subdevice;
    }
  }
  return nullptr;
}

// Compute channels only: copies that are under way go on, which harms nobody's share. The driver
// takes what runs off the card itself. To forbid scheduling alone would be cheaper, but a process
// that has the card to itself then stays on it, and does nothing after it was let go on.
uint32_t ChannelFreeze::SetChannels(bool stop) {
  uint32_t status = rm::NV_OK;
  for (const Object& subdevice : subdevices_) {
    const Channel* some[rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_MAX_ENTRIES];
    uint32_t count = 0;
    const auto ask = [&] {
      if (count > 0 && status == rm::NV_OK) status = SetSome(subdevice, stop, some, count);
      count = 0;
    };
    for (const Channel& channel : channels_) {
      if (!channel.compute || !channel.scheduled || SubdeviceOf(channel) != &subdevice) continue;
      some[count++] = &channel;
      if (count == rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_MAX_ENTRIES) ask();
    }
    ask();
  }
  if (status == rm::NV_OK) return status;
  return SetOneByOne(stop);
}

uint32_t ChannelFreeze::SetSome(const Object& subdevice, bool stop, const Channel* const* some,
                                uint32_t count) {
  rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS list = {};
  list.bDisable = stop ? 1 : 0;
  list.numChannels = count;
  for (uint32_t i = 0; i < count; ++i) {
    list.hClientList[i] = some[i]->client;
    list.hChannelList[i] = some[i]->handle;
  }
  rm::NVOS54_PARAMETERS control = {};
  control.hClient = subdevice.client;
  control.hObject = subdevice.handle;
  control.cmd = rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS;
  control.params = reinterpret_cast<uintptr_t>(&list);
  control.paramsSize = sizeof(list);
  const int result =
      real_(subdevice.fd, _IOWR('F', rm::NV_ESC_RM_CONTROL, rm::NVOS54_PARAMETERS), &control);
  return result == 0 ? control.status : kNotAsked;
}

// One that the kernel module no longer knows must not keep the others from stopping, or from going
// on: it is left out from now on.
uint32_t ChannelFreeze::SetOneByOne(bool stop) {
  uint32_t first = rm::NV_OK;
  bool any = false;
  std::erase_if(channels_, [&](const Channel& channel) {
    const Object* subdevice = SubdeviceOf(channel);
    if (!channel.compute || !channel.scheduled || !subdevice) return false;
    const Channel* one = &channel;
    const uint32_t status = SetSome(*subdevice, stop, &one, 1);
    if (status == rm::NV_OK) any = true;
    if (status != rm::NV_OK && first == rm::NV_OK) first = status;
    return status == rm::NV_ERR_OBJECT_NOT_FOUND;
  });
  return any ? rm::NV_OK : first;
}

void ChannelFreeze::GiveUp(uint32_t status) {
  given_up_ = true;
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
  if (given_up_) return 0;
  return static_cast<uint32_t>(
      std::count_if(channels_.begin(), channels_.end(),
                    [](const Channel& channel) { return channel.compute && channel.scheduled; }));
}

void ChannelFreeze::Hold() {
  std::lock_guard<std::mutex> lock(mu_);
  held_ = true;
  if (!given_up_) {
    const uint32_t status = SetChannels(/*stop=*/true);
    if (status != rm::NV_OK) {
      GiveUp(status);
      SetChannels(/*stop=*/false);
    }
  }
  // Without channels of its own, a process may still use another's (a shared context).
  if (given_up_ || channels_.empty()) gate_->Hold();
}

void ChannelFreeze::Release() {
  std::lock_guard<std::mutex> lock(mu_);
  held_ = false;
  if (!given_up_) SetChannels(/*stop=*/false);
  gate_->Release();
}

void ChannelFreeze::Forget() {
  // The lock may have been held by a thread that does not exist in the child.
  new (&mu_) std::mutex;
  subdevices_.clear();
  groups_.clear();
  channels_.clear();
  held_ = false;
}

}  // namespace flexai::backend::cuda
