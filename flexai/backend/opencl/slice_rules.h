// What slicing needs to know about OpenCL: which bytes an object holds, when they are given back,
// and how device queries show the slice.
#pragma once

#include <map>
#include <mutex>

#include "flexai/backend/opencl/card_clock.h"
#include "flexai/backend/opencl/worker_freeze.h"
#include "flexai/slice/stage.h"

namespace flexai::backend::opencl {

class SliceRules : public slice::Rules {
 public:
  /// `present_as_gpu`: CPUs call themselves GPUs, for programs that look for nothing else.
  SliceRules(slice::Tenant* tenant, WorkerFreeze* freeze, bool present_as_gpu)
      : tenant_(tenant),
        freeze_(freeze),
        present_as_gpu_(present_as_gpu),
        card_clock_(freeze->hold_times()) {}

  bool Asks(intercept::Call& call, uint64_t* bytes) override;
  uint64_t Held(intercept::Call& call, uint64_t asked) override;
  void Keep(intercept::Call& call, uint64_t bytes, slice::Ledger& ledger) override;
  void Undo(intercept::Call& call) override;
  void Drop(intercept::Call& call, slice::Ledger& ledger) override;
  void BeforeStart(intercept::Call& call) override;
  void AfterStart(intercept::Call& call) override;
  void Answer(intercept::Call& call, const slice::Ledger& ledger) override;

 private:
  static uint64_t BytesOf(intercept::Call& call);
  void AnswerAboutDevice(intercept::Call& call, const slice::Ledger& ledger) const;
  void NoteDevices(intercept::Call& call);
  uint64_t Forget(uint64_t pointer);

  slice::Tenant* tenant_;
  WorkerFreeze* freeze_;
  bool present_as_gpu_;
  CardClock card_clock_;
  std::mutex mu_;                          // guards pointers_
  std::map<uint64_t, uint64_t> pointers_;  // shared and unified memory: address -> bytes
};

}  // namespace flexai::backend::opencl
