// For slices of several cards: leads each call to the stage of the card that it is about. Each card
// has books, streams, gate and turn of its own; here alone is decided whose a call is.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flexai/backend/cuda/card_slice.h"
#include "flexai/intercept/stage.h"

namespace flexai::backend::cuda {

class RouteStage : public intercept::Stage {
 public:
  /// `cards` outlive the stage, and are at least one.
  explicit RouteStage(const std::vector<std::unique_ptr<CardSlice>>& cards);

  const char* name() const override { return "slice"; }
  intercept::FailMode fail_mode() const override { return intercept::FailMode::kClosed; }
  bool Listens(const intercept::FnInfo& info) override;
  bool Before(intercept::Call& call) override;
  void After(intercept::Call& call) override;

 private:
  using DeviceFn = int (*)(void* params);

  size_t CardOf(intercept::Call& call);
  size_t CardOfDevice(int device);
  size_t CardOfPool(uint64_t pool);
  size_t CardOfContext(uint64_t context);
  int OwnerOf(intercept::Call& call) const;

  const std::vector<std::unique_ptr<CardSlice>>& cards_;
  std::array<DeviceFn, api::kFunctionCount> device_ = {};  // null: no parameter says it
  std::array<std::atomic<int8_t>, 64> by_device_;          // -1: not asked yet
};

}  // namespace flexai::backend::cuda
