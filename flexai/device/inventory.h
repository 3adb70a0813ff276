// The question every backend answers: which cards are there?
#pragma once

#include <vector>

#include "flexai/base/status.h"
#include "flexai/model/card.h"

namespace flexai::device {

class Inventory {
 public:
  virtual ~Inventory() = default;
  /// The cards of this host that the backend's driver shows, in a stable order; none is no error.
  /// Errors: kUnavailable (a driver is there but does not answer).
  /// Thread: one. May start a driver, so daemons ask in a process of its own.
  virtual Result<std::vector<model::Card>> List() = 0;
  /// What the last List left out because flexai cannot share it.
  virtual std::vector<model::Unshared> LeftOut() const { return {}; }
};

}  // namespace flexai::device
