// What a slice is promised: the words of `flexai run` as values.
#pragma once

#include <string>

#include "flexai/model/units.h"

namespace flexai::model {

/// Who goes first when tenants compete for time that nobody is guaranteed.
enum class Priority : uint8_t { kLow = 0, kNormal = 1, kHigh = 2 };

std::string_view PriorityName(Priority priority);

/// Errors: kInvalidArgument (not high, normal or low).
Result<Priority> ParsePriority(std::string_view text);

struct SliceSpec {
  Permille share = kWholeCard;  // guaranteed part of the card's time
  Permille limit = kWholeCard;  // most of the card's time, share <= limit
  Bytes memory = 0;             // most of the card's memory; 0 = the share's part of the card
  Priority priority = Priority::kNormal;
  std::string card = "auto";  // a card's id, several with commas between, or auto
  int cards = 1;              // each gives what is above
};

/// The most cards that one slice has.
inline constexpr int kMostCards = 16;

/// Whether the parts of a spec agree with each other.
/// Errors: kInvalidArgument (limit below share; share or memory out of range).
Status CheckSpec(const SliceSpec& spec);

}  // namespace flexai::model
