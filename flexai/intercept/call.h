// One call in flight, as stages see it: a view of a generated struct that lives on the caller's
// stack, so that making one costs no allocation. Everything vendor-specific is behind FnInfo (data)
// and FnOps (its fields, and how it goes on).
#pragma once

#include <stddef.h>

#include <cstdint>

#include "flexai/base/status.h"
#include "flexai/intercept/event.h"
#include "flexai/intercept/fields.h"
#include "flexai/intercept/print.h"

namespace flexai::intercept {

/// How a call travels to another machine.
enum class WireClass : uint8_t { kSync, kAsync, kLocal, kRefuse };

inline constexpr int kMaxStages = 4;
inline constexpr int kCodes = 16;  // as many as flexai::Code has

/// What the table says about one function.
struct FnInfo {
  const char* name;
  uint32_t id;     // FNV-1a of "library.function"
  uint16_t index;  // position in the library's tables of functions
  Event event;
  WireClass wire;
  bool custom;            // the codec needs a hand-written body
  int16_t slot;           // place in the vendor's dispatch table; -1 = none
  const int64_t* errors;  // kCodes vendor codes, by flexai::Code; [0] is success
  const char* reason;     // why wire is kRefuse; empty otherwise
};

/// What can be done with one function's call struct. `params` is that struct.
struct FnOps {
  /// Calls `next` with the parameters and keeps its result; a null `next` refuses as unimplemented.
  void (*forward)(void* params, void* next);
  uint64_t (*queue)(void* params);  // null where the call is about none
  Fields fields;
};

/// One vendor library: its functions, in the order of their indices.
struct LibraryInfo {
  const char* name;
  uint16_t count;
  const FnInfo* functions;
  const FnOps* ops;
  const char* const* handle_kinds;
  uint8_t handle_kind_count;
};

/// One call in flight.
/// Thread: the calling thread only, while the call lasts.
class Call {
 public:
  Call(const FnInfo& info, const FnOps& ops, void* params, int door)
      : info_(info), ops_(ops), params_(params), door_(door) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const FnInfo& info() const { return info_; }
  /// The generated struct of this function; a backend casts it back.
  void* params() const { return params_; }
  template <class C>
  C& As() const {
    return *static_cast<C*>(params_);
  }
  /// The door through which the call came in (`Chassis::SetForwarder`).
  int door() const { return door_; }

  /// Bytes that this call asks for; 0 if the table marks no charge.
  uint64_t charge() const { return ChargeOf(ops_.fields, params_); }
  /// The first handle among the parameters; 0 if there is none.
  uint64_t handle() const { return HandleOf(ops_.fields, params_); }
  /// After a call that worked: the object it made; 0 if none.
  uint64_t created() const { return ok() ? CreatedOf(ops_.fields, params_) : 0; }
  /// The object that this call gives up; 0 if none.
  uint64_t dropped() const { return DroppedOf(ops_.fields, params_); }
  /// The queue that the call is about, as the application named it; 0 if none.
  uint64_t queue() const { return ops_.queue ? ops_.queue(params_) : 0; }
  /// Whether the vendor's result says success.
  bool ok() const { return !refused_ && IsOk(ops_.fields, params_, info_.errors[0]); }

  /// Gives the caller the vendor's own code for `code` and skips the driver.
  void Refuse(Code code) { RefuseWith(info_.errors[static_cast<int>(code) & (kCodes - 1)]); }
  /// The same with a vendor code that the backend knows better.
  void RefuseWith(int64_t vendor_code) {
    EndWith(ops_.fields, params_, vendor_code);
    refused_ = true;
  }
  /// The stage now running in its Before wants no After for this call.
  void SkipAfter() { skips_after_ = true; }
  /// Skips the driver: the stage has written result and out parameters itself.
  void Answer() { answered_ = true; }
  bool refused() const { return refused_; }
  bool answered() const { return answered_; }

  /// Parameters and result in one line; returns its length. After the call: what is behind pointers
  /// is shown only if it worked.
  size_t Print(char* out, size_t size) const {
    return PrintCall(ops_.fields, params_, info_.name, ok(), {out, size});
  }

  /// A word of the stage now running, kept from its Before to its After.
  uint64_t& scratch() { return scratch_[stage_]; }

 private:
  friend class Chassis;
  const FnInfo& info_;
  const FnOps& ops_;
  void* params_;
  int door_;
  int stage_ = 0;
  bool refused_ = false;
  bool answered_ = false;
  bool skips_after_ = false;
  uint64_t scratch_[kMaxStages] = {};
};

}  // namespace flexai::intercept
