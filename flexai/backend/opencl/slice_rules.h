// What slicing needs to know about OpenCL: which bytes an object holds, when they are given back,
// and how device queries show the slice.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "flexai/backend/nvidia/channel_freeze.h"
#include "flexai/backend/opencl/card_clock.h"
#include "flexai/backend/opencl/queues.h"
#include "flexai/backend/opencl/worker_freeze.h"
#include "flexai/slice/stage.h"

namespace flexai::backend::opencl {

class SliceRules : public slice::Rules {
 public:
  /// What the slice's card is. Until it is known, a CPU is taken care of.
  enum class Card : uint8_t { kUnknown, kCpu, kOther };
  struct Parts {
    WorkerFreeze* workers;            // of CPUs
    nvidia::ChannelFreeze* channels;  // of other cards
    slice::QueueWatch* queues;        // of other cards
  };
  /// `present_as_gpu`: CPUs call themselves GPUs, for programs that look for nothing else.
  SliceRules(slice::Tenant* tenant, const Parts& parts, bool present_as_gpu)
      : tenant_(tenant),
        freeze_(parts.workers),
        channels_(parts.channels),
        queues_(parts.queues),
        present_as_gpu_(present_as_gpu),
        card_clock_(parts.workers->hold_times()) {}

  void IsOn(Card card) { card_.store(card, std::memory_order_relaxed); }
  /// In a fork's child.
  void Forget() { queues_.Forget(); }

  bool Asks(intercept::Call& call, uint64_t* bytes) override;
  uint64_t Held(intercept::Call& call, uint64_t asked) override;
  void Keep(intercept::Call& call, uint64_t bytes, slice::Ledger& ledger) override;
  void Undo(intercept::Call& call) override;
  void Drop(intercept::Call& call, slice::Ledger& ledger) override;
  void BeforeStart(intercept::Call& call) override;
  void AfterStart(intercept::Call& call) override;
  void Answer(intercept::Call& call, const slice::Ledger& ledger) override;
  bool Launches(intercept::Call& call) override {
    BeforeWatched(call);
    return true;
  }
  void Launched(intercept::Call& call) override {
    if (OnOther()) queues_.After(call);
  }
  bool Watches(const intercept::FnInfo& info) override {
    return queues_.Watches(info) || MayLoadCode(info);
  }
  void BeforeWatched(intercept::Call& call) override {
    if (OnOther()) queues_.Before(call);
  }
  bool AfterWatched(intercept::Call& call) override {
    Launched(call);
    if (MayLoadCode(call.info()) && call.ok()) TookUnforeseen();
    return false;
  }
  bool TookUnmeasured(intercept::Call& call) override;

 private:
  bool OnOther() const { return card_.load(std::memory_order_relaxed) == Card::kOther; }
  /// At once, or when a kernel is first launched.
  static bool MayLoadCode(const intercept::FnInfo& info) {
    return info.event == intercept::Event::kModuleLoad;
  }
  /// See slice::Ledger.
  void TookUnforeseen();
  uint64_t BytesOf(intercept::Call& call) const;
  uint64_t ContextBytes() const;
  void AnswerAboutDevice(intercept::Call& call, const slice::Ledger& ledger) const;
  uint64_t Forget(uint64_t pointer);

  slice::Tenant* tenant_;
  WorkerFreeze* freeze_;
  nvidia::ChannelFreeze* channels_;
  Queues queues_;
  std::atomic<Card> card_{Card::kUnknown};
  bool present_as_gpu_;
  CardClock card_clock_;
  std::mutex mu_;                          // guards pointers_
  std::map<uint64_t, uint64_t> pointers_;  // shared and unified memory: address -> bytes
};

}  // namespace flexai::backend::opencl
