// The fake cards' books, which all processes on them share if FLEXAI_FAKE_SHARED names a file: how
// much memory each holds, and whether its channels stand. The fake management library reads them,
// and so may tests: kPlaces places as below for each card, one card after the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "flexai/backend/nvidia/fake_cards.h"

namespace flexai::backend::cuda::fake_driver {

using nvidia::fake_driver::CardCount;
using nvidia::fake_driver::CardName;
using nvidia::fake_driver::CardsInList;
using nvidia::fake_driver::kMostCards;
using nvidia::fake_driver::NameOfCard;
using nvidia::fake_driver::UuidOfCard;

/// Of one card. Thread: any; processes that end leave their places to others.
class SharedCard {
 public:
  static SharedCard& Instance(int card);

  /// Takes memory for this process; false where the card is full. What is managed does not show in
  /// Uses().
  bool Take(uint64_t bytes, bool managed = false);
  void Give(uint64_t bytes, bool managed = false);

  /// Notes whether a channel of this process that may run stands still.
  void Stands(bool stands);

  struct Use {
    uint32_t pid;
    uint64_t bytes;
  };
  /// Living processes that hold memory.
  std::vector<Use> Uses() const;
  uint64_t used() const;
  uint64_t total() const { return total_; }

 private:
  struct Place {
    std::atomic<uint32_t> pid;
    std::atomic<uint32_t> stands;
    std::atomic<uint64_t> bytes;    // all that it holds
    std::atomic<uint64_t> managed;  // of that: what may move to the host
  };
  static constexpr int kPlaces = 128;
  // Of all cards.
  struct Books {
    Place* places = nullptr;
    int count = 0;
    std::atomic<uint32_t> begun{0};  // the process that has looked for its places
  };
  static Books& TheBooks();

  explicit SharedCard(int card);
  Place* MyPlace();

  Place* places_ = nullptr;
  uint64_t total_ = 0;
};

}  // namespace flexai::backend::cuda::fake_driver
