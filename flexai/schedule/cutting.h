// What is left of a card, priced by what the usual jobs can make of it. Parts that fill a card
// together are worth the card, so this is the question of how to cut stock with the least waste.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/request.h"

namespace flexai::schedule {

/// What a card is worth of which so much is left.
/// Units: index and value are milli-cards; a whole card is worth all of it.
using LeftValues = std::array<Milli, kWholeCard + 1>;

/// Shares told apart: those that most is asked for by. Bounds the work.
inline constexpr size_t kMostShares = 32;

/// How many jobs ask for a share.
struct ShareCount {
  Milli share = 0;  // from 1 to less than a card
  int64_t jobs = 0;
  auto operator<=>(const ShareCount&) const = default;  // NOLINT: the comparison with 0 is its own
};

/// Cards are cut so that jobs in these proportions need the fewest. At the best cut each share has
/// a price, its part of a card with what is inevitably lost beside it; what is left of a card is
/// worth the dearest jobs that fit there together. So 190 are worth nothing where hardly any job
/// is so small and many leave so much; 530 are worth half a card where half-cards are to be paired.
/// Shape: `counts` by rising share, each share once.
/// Source: column generation of P. C. Gilmore and R. E. Gomory, Operations Research 9 (1961).
LeftValues ValuesOfLeft(std::span<const ShareCount> counts);

}  // namespace flexai::schedule
