// The questions that cards with a management interface answer: which process holds how much memory,
// and which one computed for how long?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flexai/base/clock.h"

namespace flexai::device {

/// What the driver says one process holds on one card.
struct ProcessUse {
  std::string card_uuid;
  int64_t pid = 0;  // in the namespace of whoever asks, if the driver is so kind
  uint64_t bytes = 0;
};

/// Card time that one process received since it was first seen. Units: ns.
struct ProcessTime {
  int64_t pid = 0;  // in the namespace of whoever asks
  Nanos total = 0;
  bool operator==(const ProcessTime&) const = default;
};

/// What is known of the use of one card up to a moment.
struct CardTime {
  std::string card_uuid;
  Nanos horizon = 0;  // Units: CLOCK_MONOTONIC ns
  bool lost = false;  // since the last answer something was not seen: totals before it are no base
  std::vector<ProcessTime> processes;
};

/// Whether the use of one card is watched.
struct CardWatch {
  std::string card_uuid;
  std::string refused;  // why it is not; empty = it is
  bool operator==(const CardWatch&) const = default;
};

class Meter {
 public:
  virtual ~Meter() = default;
  /// Every process that the driver shows; those without a figure are left out. A card that was
  /// asked has an entry of pid 0 besides, so that one without processes is told from one that did
  /// not answer. Thread: one.
  virtual std::vector<ProcessUse> Read() = 0;
  /// The use of every card that can be watched, up to now or a few milliseconds ago. Thread: the
  /// same.
  virtual std::vector<CardTime> ReadTimes() { return {}; }
  /// For each card that it knows, what became of watching it in the last `ReadTimes`. Thread: the
  /// same.
  virtual std::vector<CardWatch> Watches() const { return {}; }
};

}  // namespace flexai::device
