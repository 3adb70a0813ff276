// The question that cards with a management interface answer: which process holds how much memory?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flexai::device {

/// What the driver says one process holds on one card.
struct ProcessUse {
  std::string card_uuid;
  int64_t pid = 0;  // in the namespace of whoever asks, if the driver is so kind
  uint64_t bytes = 0;
};

class Meter {
 public:
  virtual ~Meter() = default;
  /// Every process that the driver shows; those without a figure are left out. Thread: one.
  virtual std::vector<ProcessUse> Read() = 0;
};

}  // namespace flexai::device
