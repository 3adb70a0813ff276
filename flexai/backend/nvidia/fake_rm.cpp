#include "flexai/backend/nvidia/fake_rm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace flexai::backend::nvidia::fake_driver {

int PretendModule::Ioctl(int, unsigned long request, void* argument) {
  if (_IOC_TYPE(request) != rm::NV_IOCTL_MAGIC) {
    errno = ENOTTY;
    return -1;
  }
  std::lock_guard<std::mutex> lock(mu_);
  switch (_IOC_NR(request)) {
    case rm::NV_ESC_RM_ALLOC: {
      auto& call = *static_cast<rm::NVOS64_PARAMETERS*>(argument);
      call.status = Make(call);
      break;
    }
    case rm::NV_ESC_RM_FREE: {
      auto& call = *static_cast<rm::NVOS00_PARAMETERS*>(argument);
      call.status = Free(call);
      break;
    }
    case rm::NV_ESC_RM_CONTROL: {
      auto& call = *static_cast<rm::NVOS54_PARAMETERS*>(argument);
      call.status = ControlAsPretended(call);
      break;
    }
    default:
      errno = ENOTTY;
      return -1;
  }
  TellChanges();
  return 0;
}

void PretendModule::TellChanges() {
  std::array<bool, kMostCards> stands = {};
  for (const Object& object : objects_) {
    if (IsCompute(object) && object.scheduled && Stands(object)) {
      stands[static_cast<size_t>(object.card)] = true;
    }
  }
  std::swap(stands, stands_);
  for (size_t card = 0; card < stands_.size(); ++card) {
    if (then_ && stands[card] != stands_[card]) then_(static_cast<int>(card), stands_[card]);
  }
}

uint32_t PretendModule::ControlAsPretended(const rm::NVOS54_PARAMETERS& call) {
  if (call.cmd == refused_command_ && refused_status_ != 0) return refused_status_;
  const auto found = pretences_.find(call.cmd);
  switch (found == pretences_.end() ? Pretence::kWorks : found->second) {
    case Pretence::kRefuses:
      return rm::NV_ERR_NOT_SUPPORTED;
    case Pretence::kLies:
      return rm::NV_OK;
    case Pretence::kHangs:
      for (;;) pause();
    case Pretence::kCrashes:
      abort();
    case Pretence::kWorks:
      break;
  }
  return Control(call);
}

void PretendModule::Pretend(uint32_t command, Pretence pretence) {
  std::lock_guard<std::mutex> lock(mu_);
  pretences_[command] = pretence;
}

bool PretendModule::Pretend(const char* words) {
  const std::map<std::string, uint32_t> commands = {
      {"stop", rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS},
      {"hand-over", rm::NVA06C_CTRL_CMD_PREEMPT},
      {"time-slice", rm::NVA06C_CTRL_CMD_SET_TIMESLICE}};
  const std::map<std::string, Pretence> pretences = {{"refuses", Pretence::kRefuses},
                                                     {"lies", Pretence::kLies},
                                                     {"hangs", Pretence::kHangs},
                                                     {"crashes", Pretence::kCrashes}};
  std::istringstream list(words);
  for (std::string word; std::getline(list, word, ',');) {
    const size_t equals = word.find('=');
    const auto command = commands.find(word.substr(0, equals));
    const auto pretence =
        pretences.find(equals == std::string::npos ? "" : word.substr(equals + 1));
    if (command == commands.end() || pretence == pretences.end()) return false;
    Pretend(command->second, pretence->second);
  }
  return true;
}

void PretendModule::Refuse(uint32_t command, uint32_t status) {
  std::lock_guard<std::mutex> lock(mu_);
  refused_command_ = command;
  refused_status_ = status;
}

bool PretendModule::IsCompute(const Object& object) const {
  return object.object_class == rm::HOPPER_CHANNEL_GPFIFO_A &&
         object.engine == rm::NV2080_ENGINE_TYPE_GRAPHICS;
}

bool PretendModule::Stands(const Object& object) const {
  return (object.stops > 0 && !object.on_card) || object.stuck;
}

uint32_t PretendModule::whole_stops() const {
  std::lock_guard<std::mutex> lock(mu_);
  return whole_stops_;
}

uint32_t PretendModule::group_stops() const {
  std::lock_guard<std::mutex> lock(mu_);
  return group_stops_;
}

uint64_t PretendModule::time_slice() const {
  std::lock_guard<std::mutex> lock(mu_);
  for (const Object& object : objects_) {
    const bool compute = object.engine == rm::NV2080_ENGINE_TYPE_GRAPHICS;
    if (object.object_class == rm::KEPLER_CHANNEL_GROUP_A && compute) return object.time_slice;
  }
  return 0;
}

uint32_t PretendModule::scheduled() const {
  std::lock_guard<std::mutex> lock(mu_);
  return static_cast<uint32_t>(std::count_if(objects_.begin(), objects_.end(), [&](const auto& o) {
    return IsCompute(o) && o.scheduled;
  }));
}

uint32_t PretendModule::running() const {
  std::lock_guard<std::mutex> lock(mu_);
  return static_cast<uint32_t>(std::count_if(objects_.begin(), objects_.end(), [&](const auto& o) {
    return IsCompute(o) && o.scheduled && !Stands(o);
  }));
}

PretendModule::Object* PretendModule::Find(rm::NvHandle client, rm::NvHandle handle) {
  for (Object& object : objects_) {
    if (object.client == client && object.handle == handle) return &object;
  }
  return nullptr;
}

uint32_t PretendModule::Make(rm::NVOS64_PARAMETERS& call) {
  if (call.hObjectNew == 0) call.hObjectNew = next_++;
  Object made = {call.hRoot, call.hObjectParent, call.hObjectNew, call.hClass};
  if (call.hClass == rm::NV01_ROOT_CLIENT) {
    made.client = made.handle;
  } else if (const uint32_t status = Place(made, call); status != rm::NV_OK) {
    return status;
  }
  objects_.push_back(made);
  return rm::NV_OK;
}

// What an object has of its parent and its parameters.
uint32_t PretendModule::Place(Object& made, const rm::NVOS64_PARAMETERS& call) {
  const Object* const parent = Find(call.hRoot, call.hObjectParent);
  if (!parent) return rm::NV_ERR_OBJECT_NOT_FOUND;
  made.card = parent->card;
  if (call.hClass == rm::NV01_DEVICE_0 && call.pAllocParms != 0) {
    const auto* device = reinterpret_cast<const rm::NV0080_ALLOC_PARAMETERS*>(call.pAllocParms);
    if (device->deviceId >= static_cast<uint32_t>(CardCount())) return rm::NV_ERR_INVALID_ARGUMENT;
    made.card = static_cast<int>(device->deviceId);
  }
  if (call.hClass == rm::KEPLER_CHANNEL_GROUP_A && call.pAllocParms != 0) {
    made.engine =
        reinterpret_cast<const rm::NV_CHANNEL_GROUP_ALLOCATION_PARAMETERS*>(call.pAllocParms)
            ->engineType;
  }
  if (call.hClass == rm::HOPPER_CHANNEL_GPFIFO_A) made.engine = parent->engine;
  return rm::NV_OK;
}

uint32_t PretendModule::Free(const rm::NVOS00_PARAMETERS& call) {
  if (!Find(call.hRoot, call.hObjectOld)) return rm::NV_ERR_OBJECT_NOT_FOUND;
  std::vector<rm::NvHandle> gone = {call.hObjectOld};
  for (size_t i = 0; i < gone.size(); ++i) {
    for (const Object& object : objects_) {
      const bool below = object.client == call.hRoot && object.parent == gone[i];
      if (below && object.handle != gone[i]) gone.push_back(object.handle);
    }
  }
  std::erase_if(objects_, [&](const Object& object) {
    return object.client == call.hRoot &&
           std::find(gone.begin(), gone.end(), object.handle) != gone.end();
  });
  return rm::NV_OK;
}

uint32_t PretendModule::Control(const rm::NVOS54_PARAMETERS& call) {
  Object* object = Find(call.hClient, call.hObject);
  if (!object) return rm::NV_ERR_OBJECT_NOT_FOUND;
  switch (call.cmd) {
    case rm::NVA06C_CTRL_CMD_GPFIFO_SCHEDULE:
    case rm::NVA06F_CTRL_CMD_GPFIFO_SCHEDULE:
      for (Object& other : objects_) {
        if (other.client != call.hClient) continue;
        if (other.handle == call.hObject || other.parent == call.hObject) other.scheduled = true;
      }
      return rm::NV_OK;
    case rm::NVA06C_CTRL_CMD_PREEMPT:
    case rm::NVA06C_CTRL_CMD_GET_TIMESLICE:
    case rm::NVA06C_CTRL_CMD_SET_TIMESLICE:
      return ControlGroup(*object, call);
    case rm::NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS:
      if (call.paramsSize != sizeof(rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS)) {
        return rm::NV_ERR_INVALID_ARGUMENT;
      }
      return Disable(
          *reinterpret_cast<const rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS*>(call.params));
    case rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO:
      return TellName(*object, call);
    default:
      return rm::NV_ERR_NOT_SUPPORTED;
  }
}

uint32_t PretendModule::ControlGroup(Object& group, const rm::NVOS54_PARAMETERS& call) {
  if (group.object_class != rm::KEPLER_CHANNEL_GROUP_A || call.paramsSize != 8) {
    return rm::NV_ERR_INVALID_ARGUMENT;
  }
  if (call.cmd == rm::NVA06C_CTRL_CMD_PREEMPT) {
    for (Object& object : objects_) {
      if (object.client == group.client && object.parent == group.handle) object.on_card = false;
    }
    ++group_stops_;
    return rm::NV_OK;
  }
  auto& slice = *reinterpret_cast<rm::NVA06C_CTRL_TIMESLICE_PARAMS*>(call.params);
  if (call.cmd == rm::NVA06C_CTRL_CMD_SET_TIMESLICE) {
    group.time_slice = slice.timesliceUs;
  } else {
    slice.timesliceUs = group.time_slice;
  }
  return rm::NV_OK;
}

// As text alone, which is what zero asks for.
uint32_t PretendModule::TellName(const Object& subdevice, const rm::NVOS54_PARAMETERS& call) {
  auto& name = *reinterpret_cast<rm::NV2080_CTRL_GPU_GET_GID_INFO_PARAMS*>(call.params);
  if (subdevice.object_class != rm::NV20_SUBDEVICE_0 || call.paramsSize != sizeof(name) ||
      name.flags != 0) {
    return rm::NV_ERR_INVALID_ARGUMENT;
  }
  const std::string uuid = UuidOfCard(subdevice.card);
  name.length = static_cast<uint32_t>(uuid.size() + 1);
  memcpy(name.data, uuid.c_str(), name.length);
  return rm::NV_OK;
}

// All or nothing, as the real one: a name that it does not know fails the call. And as the real one
// it counts: who was stopped twice goes on when it was let go on twice.
uint32_t PretendModule::Disable(const rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS& list) {
  if (list.numChannels > rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_MAX_ENTRIES) {
    return rm::NV_ERR_INVALID_ARGUMENT;
  }
  for (uint32_t i = 0; i < list.numChannels; ++i) {
    const Object* channel = Find(list.hClientList[i], list.hChannelList[i]);
    if (!channel) return rm::NV_ERR_OBJECT_NOT_FOUND;
    if (!channel->scheduled) return rm::NV_ERR_INVALID_ARGUMENT;
  }
  for (uint32_t i = 0; i < list.numChannels; ++i) {
    Object& channel = *Find(list.hClientList[i], list.hChannelList[i]);
    if (list.bDisable) {
      // Taken off the card with the call, or by another.
      channel.on_card = list.bOnlyDisableScheduling && (channel.stops == 0 || channel.on_card);
      ++channel.stops;
    } else if (channel.stops > 0) {
      --channel.stops;
      channel.stuck = channel.stops == 0 && channel.on_card;
    }
  }
  if (list.bDisable && !list.bOnlyDisableScheduling) ++whole_stops_;
  return rm::NV_OK;
}

PretendChannels::PretendChannels(IoctlFn ioctl, int fd, int compute, int copy, bool one_by_one,
                                 int card)
    : ioctl_(ioctl), fd_(fd) {
  client_ = Make(0, rm::NV01_ROOT_CLIENT, nullptr);
  rm::NV0080_ALLOC_PARAMETERS number = {};
  number.deviceId = static_cast<uint32_t>(card);
  const rm::NvHandle device = Make(client_, rm::NV01_DEVICE_0, &number);
  uint32_t none = 0;
  Make(device, rm::NV20_SUBDEVICE_0, &none);
  MakeGroup(device, rm::NV2080_ENGINE_TYPE_GRAPHICS, compute, one_by_one);
  MakeGroup(device, rm::NV2080_ENGINE_TYPE_GRAPHICS + 8, copy, one_by_one);
}

PretendChannels::~PretendChannels() { Free(client_); }

rm::NvHandle PretendChannels::Make(rm::NvHandle parent, uint32_t object_class, void* parameters) {
  rm::NVOS64_PARAMETERS call = {};
  call.hRoot = client_;
  call.hObjectParent = parent;
  call.hClass = object_class;
  call.pAllocParms = reinterpret_cast<uintptr_t>(parameters);
  const int result = ioctl_(fd_, _IOWR('F', rm::NV_ESC_RM_ALLOC, rm::NVOS64_PARAMETERS), &call);
  ok_ = ok_ && result == 0 && call.status == rm::NV_OK;
  return call.hObjectNew;
}

void PretendChannels::MakeGroup(rm::NvHandle device, uint32_t engine, int channels,
                                bool one_by_one) {
  rm::NV_CHANNEL_GROUP_ALLOCATION_PARAMETERS parameters = {};
  parameters.engineType = engine;
  const rm::NvHandle group = Make(device, rm::KEPLER_CHANNEL_GROUP_A, &parameters);
  if (group_ == 0) group_ = group;
  for (int i = 0; i < channels; ++i) {
    channels_.push_back(Make(group, rm::HOPPER_CHANNEL_GPFIFO_A, nullptr));
    if (one_by_one) Schedule(channels_.back(), rm::NVA06F_CTRL_CMD_GPFIFO_SCHEDULE);
  }
  if (!one_by_one) Schedule(group, rm::NVA06C_CTRL_CMD_GPFIFO_SCHEDULE);
}

void PretendChannels::Schedule(rm::NvHandle object, uint32_t command) {
  rm::NVOS54_PARAMETERS call = {};
  call.hClient = client_;
  call.hObject = object;
  call.cmd = command;
  const int result = ioctl_(fd_, _IOWR('F', rm::NV_ESC_RM_CONTROL, rm::NVOS54_PARAMETERS), &call);
  ok_ = ok_ && result == 0 && call.status == rm::NV_OK;
}

void PretendChannels::Free(rm::NvHandle handle) {
  rm::NVOS00_PARAMETERS call = {};
  call.hRoot = client_;
  call.hObjectOld = handle;
  ioctl_(fd_, _IOWR('F', rm::NV_ESC_RM_FREE, rm::NVOS00_PARAMETERS), &call);
}

}  // namespace flexai::backend::nvidia::fake_driver
