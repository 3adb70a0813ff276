// What a job asks for, as values. Equal requests are one kind: they share one ranking of nodes.
#pragma once

#include <compare>
#include <cstdint>

namespace flexai::schedule {

using NodeId = uint32_t;
using JobId = uint32_t;
/// Part of a card's compute time. Units: 1/1000 of a card.
using Milli = int32_t;
/// A set of cards of one node: bit i is its card i.
using CardSet = uint64_t;
/// A set of card models: bit i is model i.
using ModelSet = uint64_t;
/// What a job does with a card: jobs of one load burden it, and bear others, alike. 0: not told.
using LoadId = uint32_t;

inline constexpr Milli kWholeCard = 1000;
inline constexpr uint32_t kMostCards = 64;   // of one node: the bits of a CardSet
inline constexpr uint32_t kMostModels = 64;  // of one cluster: the bits of a ModelSet
inline constexpr uint32_t kMostLoads = 64;   // of one cluster, with 0
inline constexpr ModelSet kAnyModel = ~ModelSet{0};

struct Request {
  int64_t cpu_milli = 0;
  int64_t memory_mib = 0;
  int64_t card_memory_mib = 0;  // of each card; 0: does not matter
  ModelSet models = kAnyModel;
  uint32_t cards = 0;
  Milli share = 0;  // of each card
  LoadId load = 0;

  auto operator<=>(const Request&) const = default;  // NOLINT: the comparison with 0 is its own
};

/// Units: milli-cards over all cards asked for.
inline int64_t CardDemand(const Request& request) {
  return static_cast<int64_t>(request.cards) * request.share;
}

/// Whether it asks for a part of one card and leaves the rest to others.
inline bool IsPart(const Request& request) {
  return request.cards == 1 && request.share < kWholeCard;
}

/// Coarse classes of jobs, by the cards they take.
enum class Shape : uint8_t { kNoCard, kPart, kOne, kTwo, kFour, kEight, kOther };
inline constexpr uint32_t kShapes = 7;

inline Shape ShapeOf(const Request& request) {
  if (request.cards == 0) return Shape::kNoCard;
  if (IsPart(request)) return Shape::kPart;
  switch (request.cards) {
    case 1:
      return Shape::kOne;
    case 2:
      return Shape::kTwo;
    case 4:
      return Shape::kFour;
    case 8:
      return Shape::kEight;
    default:
      return Shape::kOther;
  }
}

}  // namespace flexai::schedule
