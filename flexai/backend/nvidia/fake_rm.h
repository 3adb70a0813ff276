// A kernel module that knows no more than slicing asks of the real one: objects, channels that run
// or stand, calls that are refused on demand. The fake driver makes its channels with it; tests of
// the lever look into it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "flexai/backend/nvidia/fake_cards.h"
#include "rm/types.h"

namespace flexai::backend::nvidia::fake_driver {

namespace rm = ::flexai::api::rm;

/// Thread: any.
class PretendModule {
 public:
  /// What ioctl does on the module's files. ENOTTY for what it does not know.
  int Ioctl(int fd, unsigned long request, void* argument);

  /// From now on control calls of `command` answer `status`; 0: they work again.
  void Refuse(uint32_t command, uint32_t status);
  /// How control calls of `command` pretend to work from now on.
  enum class Pretence : uint8_t { kWorks, kRefuses, kLies, kHangs, kCrashes };
  void Pretend(uint32_t command, Pretence pretence);
  /// The same in words, as "stop=lies,hand-over=refuses"; false where they are not known.
  bool Pretend(const char* words);
  /// Called, with the module locked, when it changes whether any compute channel of a card that may
  /// run stands still.
  void OnChange(std::function<void(int card, bool stands)> then) { then_ = std::move(then); }

  /// Compute channels that may run, and how many of them do.
  uint32_t scheduled() const;
  uint32_t running() const;
  /// How often channels were stopped with whatever else was on the card, and groups by themselves.
  uint32_t whole_stops() const;
  uint32_t group_stops() const;
  /// The time slice of the first compute group. Units: us.
  uint64_t time_slice() const;

 private:
  struct Object {
    rm::NvHandle client, parent, handle;
    uint32_t object_class;
    int card = 0;         // of a device and what is below it
    uint32_t engine = 0;  // of a group, or of a channel's group
    bool scheduled = false;
    uint32_t stops = 0;          // that it was not yet let go on from
    bool on_card = false;        // was not taken off it since it was stopped
    bool stuck = false;          // went on without having left it, and does nothing
    uint64_t time_slice = 2048;  // as a driver's first group has it. Units: us
  };

  uint32_t Make(rm::NVOS64_PARAMETERS& call);
  uint32_t Place(Object& made, const rm::NVOS64_PARAMETERS& call);
  uint32_t Free(const rm::NVOS00_PARAMETERS& call);
  uint32_t Control(const rm::NVOS54_PARAMETERS& call);
  uint32_t Disable(const rm::NV2080_CTRL_FIFO_DISABLE_CHANNELS_PARAMS& list);
  static uint32_t TellName(const Object& subdevice, const rm::NVOS54_PARAMETERS& call);
  uint32_t ControlGroup(Object& group, const rm::NVOS54_PARAMETERS& call);
  Object* Find(rm::NvHandle client, rm::NvHandle handle);
  bool IsCompute(const Object& object) const;
  bool Stands(const Object& object) const;
  uint32_t ControlAsPretended(const rm::NVOS54_PARAMETERS& call);
  void TellChanges();

  mutable std::mutex mu_;  // guards what follows
  std::vector<Object> objects_;
  rm::NvHandle next_ = 0x5c000001;
  uint32_t whole_stops_ = 0;
  uint32_t group_stops_ = 0;
  uint32_t refused_command_ = 0;
  uint32_t refused_status_ = 0;
  std::map<uint32_t, Pretence> pretences_;
  std::array<bool, kMostCards> stands_ = {};  // as told
  std::function<void(int, bool)> then_;
};

/// The calls by which a driver makes channels for a context, in its order.
class PretendChannels {
 public:
  using IoctlFn = int (*)(int fd, unsigned long request, void* argument);

  /// `compute` channels of a card in one group, `copy` in another; scheduled group by group, or one
  /// by one. Errors: `ok()` is false if the module refused.
  PretendChannels(IoctlFn ioctl, int fd, int compute, int copy, bool one_by_one = false,
                  int card = 0);
  ~PretendChannels();
  PretendChannels(const PretendChannels&) = delete;
  PretendChannels& operator=(const PretendChannels&) = delete;

  bool ok() const { return ok_; }
  rm::NvHandle client() const { return client_; }
  /// Of the compute channels.
  rm::NvHandle group() const { return group_; }
  /// The channels' names, compute first.
  const std::vector<rm::NvHandle>& channels() const { return channels_; }
  void Free(rm::NvHandle handle);

 private:
  rm::NvHandle Make(rm::NvHandle parent, uint32_t object_class, void* parameters);
  void MakeGroup(rm::NvHandle device, uint32_t engine, int channels, bool one_by_one);
  void Schedule(rm::NvHandle object, uint32_t command);

  IoctlFn ioctl_;
  int fd_;
  bool ok_ = true;
  rm::NvHandle client_ = 0;
  rm::NvHandle group_ = 0;
  std::vector<rm::NvHandle> channels_;
};

}  // namespace flexai::backend::nvidia::fake_driver
