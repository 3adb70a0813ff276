// The stage that holds a slice's limits on the way of calls: here an allocation is refused, and
// here a launch meets the gate. It knows only neutral events; what a vendor's objects weigh, and
// how a query is answered, a backend says through Rules.
#pragma once

#include <atomic>
#include <cstdint>

#include "flexai/intercept/stage.h"
#include "flexai/slice/lever.h"
#include "flexai/slice/tenant.h"

namespace flexai::slice {

/// A backend's knowledge about its calls.
/// Thread: any, many at a time.
class Rules {
 public:
  virtual ~Rules() = default;
  /// Whether the call takes device memory, and the `bytes` that it will hold at least. What is
  /// asked here is undone by Failed, unless Held follows.
  virtual bool Asks(intercept::Call& call, uint64_t* bytes) = 0;
  /// The call was refused, or did not work.
  virtual void Failed(intercept::Call&) {}
  /// Before a refusal: finds bytes that the driver holds in reserve, and gives them back. True if
  /// there were any: then Asks is asked again.
  virtual bool Recover(Ledger&) { return false; }
  /// After the call worked: the bytes that the object really holds.
  virtual uint64_t Held(intercept::Call& call, uint64_t asked) = 0;
  /// Remembers that the new object holds `bytes`, and gives them back to `ledger` when it is gone.
  virtual void Keep(intercept::Call& call, uint64_t bytes, Ledger& ledger) = 0;
  /// Undoes an allocation that turned out too large, and forgets it.
  virtual void Undo(intercept::Call& call) = 0;
  /// Before the call that gives an object up.
  virtual void Drop(intercept::Call& call, Ledger& ledger) = 0;
  /// After it, whether it worked or not.
  virtual void Dropped(intercept::Call&, Ledger&) {}
  /// After a call that worked and holds once more what exists, or changed what it takes.
  virtual void Hold(intercept::Call&) {}
  /// A launch is about to happen. Whether Launched shall be told what became of it.
  virtual bool Launches(intercept::Call&) { return false; }
  /// It was handed to the driver, which took it or not.
  virtual void Launched(intercept::Call&) {}
  /// Whether the call says something about queued work: waits for it, asks after it, marks it.
  virtual bool Watches(const intercept::FnInfo&) { return false; }
  /// Before and after a call that does. Afterwards: whether it took memory of which nobody could
  /// say beforehand how much, as code does.
  virtual void BeforeWatched(intercept::Call&) {}
  virtual bool AfterWatched(intercept::Call&) { return false; }
  /// The same of a call that worked and made a context, or changed what one holds.
  virtual bool TookUnmeasured(intercept::Call&) { return false; }
  /// Before and after calls in which the driver may start its workers.
  virtual void BeforeStart(intercept::Call& call) = 0;
  virtual void AfterStart(intercept::Call& call) = 0;
  /// Makes the answer to a device query show the slice.
  virtual void Answer(intercept::Call& call, const Ledger& ledger) = 0;
};

class alignas(64) SliceStage : public intercept::Stage {
 public:
  /// `gate` may be null: then launches are not counted or gated here.
  SliceStage(Tenant* tenant, Rules* rules, GateLever* gate)
      : tenant_(tenant), rules_(rules), gate_(gate) {}

  const char* name() const override { return "slice"; }
  /// Without its region no allocation may pass.
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kClosed; }
  bool Listens(const intercept::FnInfo& info) override;
  bool Before(intercept::Call& call) override;
  void After(intercept::Call& call) override;

 protected:
  Rules* rules() const { return rules_; }
  /// PassGate follows soon.
  void ExpectGate() const {
    if (gate_) gate_->Expect();
  }
  void PassGate() {
    if (gate_) gate_->Pass();
    if (++t_launches_ == kLaunchBatch) {
      tenant_->CountLaunches(t_launches_);
      t_launches_ = 0;
    }
  }

 private:
  // Launches of this thread not yet added to its process's slot, so that the common launch touches
  // no line that other threads write.
  static constinit inline thread_local uint32_t t_launches_
      __attribute__((tls_model("initial-exec"))) = 0;
  static constexpr uint32_t kLaunchBatch = 64;

  Ledger* FindLedger(intercept::Call& call);
  bool BeforeLaunch(intercept::Call& call);
  bool BeforeAlloc(intercept::Call& call);
  void AfterAlloc(intercept::Call& call);
  void CheckUnmeasured(intercept::Call& call);
  bool CompareNear(intercept::Call& call, Ledger& ledger, uint64_t* asked);
  bool CompareAndTryAgain(intercept::Call& call, Ledger& ledger, uint64_t* asked);
  void TellRefused(const intercept::Call& call, const Ledger& ledger, uint64_t asked);
  void TellNoContext(const intercept::Call& call, const Ledger& ledger, uint64_t takes,
                     uint64_t needed) const;

  Tenant* tenant_;
  Rules* rules_;
  GateLever* gate_;
  std::atomic<int64_t> last_told_{0};
  std::atomic<uint32_t> untold_{0};
  static constexpr uint64_t kNever = ~uint64_t{0};
  std::atomic<uint64_t> compared_at_{kNever};  // bytes used when a comparison was no help
  std::atomic<Nanos> compare_again_at_{0};     // clock; before it nobody compares near the limit
  std::atomic<Nanos> compare_pause_{0};        // how long that was, when it was of no use
};

/// The stage with a short way for launches. All of it is one function, because each further
/// one is another line of the caches: `R` has `bool LaunchesShort(uint16_t index, uint64_t kernel,
/// uint64_t* queue) const`, which tells for a launch of which nothing else need be known, without a
/// word to the driver, by which name `queues` knows the queue. False, or no place there: Launches
/// is asked.
template <class R>
class ShortSliceStage final : public SliceStage {
 public:
  ShortSliceStage(Tenant* tenant, R* rules, GateLever* gate, QueueWatch* queues)
      : SliceStage(tenant, rules, gate), queues_(queues) {}

  ShortWay ShortWayOf(const intercept::FnInfo& info) const override {
    return info.event == intercept::Event::kLaunch ? &Launch : nullptr;
  }

 private:
  [[gnu::hot]] static bool Launch(intercept::Stage& self, uint16_t index, uint64_t queue,
                                  uint64_t kernel) {
    auto& stage = static_cast<ShortSliceStage&>(self);
    // Counting a launch orders all that comes before and after it, and what is needed after it
    // would only then be fetched, one after the other.
    stage.ExpectGate();
    stage.queues_->Expect();
    if (!static_cast<const R*>(stage.rules())->R::LaunchesShort(index, kernel, &queue))
      return false;
    if (!stage.queues_->Launched(queue)) return false;
    stage.PassGate();
    return true;
  }

  QueueWatch* queues_;
};

}  // namespace flexai::slice
