// Numbers that look random and are the same for the same seed on every machine and compiler.
#pragma once

#include <cstdint>

namespace flexai::schedule {

/// A counter stepped by an odd constant and mixed (SplitMix64).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t mixed = state_ += 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
  }

  /// Evenly one of 0 .. sides-1; `sides` is at least 1.
  uint32_t Below(uint32_t sides) {
    const uint64_t unfair = UINT64_MAX - UINT64_MAX % sides;
    uint64_t drawn = Next();
    while (drawn >= unfair) drawn = Next();
    return static_cast<uint32_t>(drawn % sides);
  }

 private:
  uint64_t state_;
};

}  // namespace flexai::schedule
