// The stage that answers cuGetProcAddress with our own entries: what the driver found for a name, a
// version and a kind of stream is exchanged for the entry of exactly that function. Status, flags
// and "not found" stay the driver's.
#pragma once

#include "flexai/intercept/stage.h"

namespace flexai::backend::cuda {

class LookUpStage : public intercept::Stage {
 public:
  const char* name() const override { return "look-up"; }
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kOpen; }
  bool Listens(const intercept::FnInfo& info) override;
  bool Before(intercept::Call&) override { return true; }
  void After(intercept::Call& call) override;
};

}  // namespace flexai::backend::cuda
