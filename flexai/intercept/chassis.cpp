#include "flexai/intercept/chassis.h"

#include <errno.h>

#include <algorithm>

namespace flexai::intercept {

constinit thread_local Inside t_inside __attribute__((tls_model("initial-exec"))) =
    Inside::kNothing;

Status Chassis::AddStage(Stage* stage) {
  std::lock_guard<std::mutex> lock(mu_);
  if (started_.load(std::memory_order_relaxed)) {
    return Status(Code::kFailedPrecondition, "a stage cannot be added after the first call",
                  "add it in the start function");
  }
  if (stage_count_ == kMaxStages) {
    return Status(Code::kResourceExhausted, "the chassis holds as many stages as it can");
  }
  stages_[stage_count_] = stage;
  enabled_ |= static_cast<uint8_t>(1u << stage_count_);
  ++stage_count_;
  for (uint16_t i = 0; i < count_ && !short_stage_; ++i) {
    short_way_ = stage->ShortWayOf(library_.functions[i]);
    if (short_way_) short_stage_ = stage;
  }
  return Status();
}

void Chassis::Enable(const Stage* stage, bool on) {
  std::lock_guard<std::mutex> lock(mu_);
  for (int i = 0; i < stage_count_; ++i) {
    if (stages_[i] != stage) continue;
    const uint8_t bit = static_cast<uint8_t>(1u << i);
    enabled_ = static_cast<uint8_t>(on ? enabled_ | bit : enabled_ & ~bit);
  }
  if (started_.load(std::memory_order_relaxed)) RefreshLocked();
}

void Chassis::RefreshLocked() {
  const bool nests =
      std::find(levels_, levels_ + kMaxDoors, DoorLevel::kInner) != levels_ + kMaxDoors;
  for (uint16_t i = 0; i < count_; ++i) {
    uint8_t mask = 0;
    for (int s = 0; s < stage_count_; ++s) {
      const uint8_t bit = static_cast<uint8_t>(1u << s);
      if ((enabled_ & bit) && stages_[s]->Listens(library_.functions[i])) mask |= bit;
    }
    const bool is_short = !nests && std::popcount(mask) == 1 &&
                          stages_[std::countr_zero(mask)] == short_stage_ &&
                          short_stage_->ShortWayOf(library_.functions[i]) != nullptr;
    active_[i].store(static_cast<uint8_t>(kStarted | (is_short ? kShort : 0) | mask),
                     std::memory_order_release);
  }
}

bool Chassis::IsHeard(uint16_t index) const {
  for (int s = 0; s < stage_count_; ++s) {
    if (stages_[s]->Listens(library_.functions[index])) return true;
  }
  return false;
}

void Chassis::SetForwarder(int door, DoorLevel level, void* const* functions) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    levels_[door] = level;
    if (started_.load(std::memory_order_relaxed)) RefreshLocked();
  }
  for (uint16_t i = 0; i < count_; ++i) {
    if (functions[i]) SetForward(door, i, functions[i]);
  }
}

void Chassis::SetForward(int door, uint16_t index, void* function) {
  next_[door * count_ + index].store(function, std::memory_order_release);
}

void Chassis::Start() {
  if (started_.load(std::memory_order_acquire)) return;
  std::lock_guard<std::mutex> start_lock(start_mu_);
  if (started_.load(std::memory_order_relaxed)) return;
  {
    // What start asks of the driver is ours: it must neither wait for this start nor be counted.
    OwnCalls own;
    if (start_) start_(*this);
  }
  std::lock_guard<std::mutex> lock(mu_);
  started_.store(true, std::memory_order_release);
  RefreshLocked();
}

bool Chassis::GoesStraight(int door) const {
  switch (t_inside) {
    case Inside::kNothing:
      return false;
    case Inside::kOwn:
      return true;
    case Inside::kOuterCall:
      return levels_[door] == DoorLevel::kInner;
    case Inside::kInnerCall:
      return levels_[door] == DoorLevel::kInner;
  }
  return false;
}

[[gnu::hot]] void Chassis::Run(int door, uint16_t index, void* params, void* next) {
  const FnOps& ops = library_.ops[index];
  const FnInfo& info = library_.functions[index];
  bool straight = GoesStraight(door);
  uint8_t state = 0;
  if (!straight) {
    state = active_[index].load(std::memory_order_acquire);
    if (!(state & kStarted)) {
      Start();
      state = active_[index].load(std::memory_order_acquire);
    }
    straight = (state & kStages) == 0;
  }
  if (straight && next) {
    ops.forward(params, next);
    return;
  }
  if (!next) {
    // The driver or loader behind this door does not have the function.
    EndWith(ops.fields, params, info.errors[static_cast<int>(Code::kUnimplemented)]);
    return;
  }
  Call call(info, ops, params, door);
  Visit(state & kStages, call, next);
}

// Hot: all but short launches go this way. What is hot lies together, so that a
// program that has filled the caches with other things waits for fewer lines.
[[gnu::hot]] void Chassis::Visit(uint8_t stages, Call& call, void* next) {
  const Inside before = t_inside;
  int& code = errno;
  const int caller_errno = code;
  t_inside = Inside::kOwn;
  unsigned visited = 0;
  bool go_on = true;
  for (unsigned left = stages; left != 0 && go_on; left &= left - 1) {
    call.stage_ = std::countr_zero(left);
    call.skips_after_ = false;
    go_on = stages_[call.stage_]->Before(call);
    // The stage that refused has nothing to undo.
    visited |= static_cast<unsigned>(go_on && !call.skips_after_) << call.stage_;
  }
  int result_errno = caller_errno;
  if (go_on && !call.answered_) {
    t_inside = levels_[call.door_] == DoorLevel::kInner ? Inside::kInnerCall : Inside::kOuterCall;
    code = caller_errno;
    call.ops_.forward(call.params_, next);
    result_errno = code;
    t_inside = Inside::kOwn;
  }
  for (; visited != 0; visited &= ~(1u << call.stage_)) {
    call.stage_ = static_cast<int>(std::bit_width(visited)) - 1;
    stages_[call.stage_]->After(call);
  }
  t_inside = before;
  code = result_errno;
}

}  // namespace flexai::intercept
