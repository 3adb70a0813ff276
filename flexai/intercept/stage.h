// A listener on the way of a call: trace, slice. The chassis visits only stages that listen to the
// function.
#pragma once

#include "flexai/intercept/call.h"

namespace flexai::intercept {

/// What becomes of calls when a stage cannot do its work.
enum class FailMode : uint8_t {
  kOpen,    // calls pass: the stage only watches
  kClosed,  // calls are refused: the stage holds a limit
};

/// Thread: Before and After run on the application's threads, many at a time; no lock is held
/// around them. They must not block on the device, throw, or print to stdout; what they call in the
/// driver goes straight to it.
class Stage {
 public:
  virtual ~Stage() = default;

  virtual const char* name() const = 0;
  virtual FailMode fail_mode() const = 0;
  /// Whether Before and After want to see this function; asked once for each function, before the
  /// first call.
  virtual bool Listens(const FnInfo& info) = 0;
  /// Before the driver is asked. False means refused, and `call.Refuse` has been called: the driver
  /// and later stages are skipped, and After of this stage is not called.
  virtual bool Before(Call& call) = 0;
  /// After the driver, or a later stage's refusal; in the opposite order of Before. Not called
  /// where Before said `call.SkipAfter`.
  virtual void After(Call& call) = 0;

  /// For what a program calls most, by the queue that it names and its first handle: true sends the
  /// call on to the driver at once, and neither Before nor After is called. False: nothing was
  /// done, and both are. Only where no other stage listens; it may call nothing in the driver, and
  /// leaves errno as it is.
  using ShortWay = bool (*)(Stage& self, uint16_t index, uint64_t queue, uint64_t handle);
  /// The function's; null: it has none. A stage has one for all that have one.
  virtual ShortWay ShortWayOf(const FnInfo&) const { return nullptr; }
};

}  // namespace flexai::intercept
