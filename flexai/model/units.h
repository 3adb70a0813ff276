// Shares and amounts of memory: parsed from what people write, printed as people read them.
// Every refusal says what was given, why it is refused, and what to write instead.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flexai/base/status.h"

namespace flexai::model {

/// Part of a card's compute time. Units: permille (1000 = the whole card).
using Permille = int32_t;

inline constexpr Permille kWholeCard = 1000;
/// The smallest share that can be held: one percent.
inline constexpr Permille kMinShare = 10;

/// Units: bytes.
using Bytes = uint64_t;

inline constexpr Bytes kMiB = Bytes{1} << 20;
inline constexpr Bytes kGiB = Bytes{1} << 30;
/// The smallest memory limit that a slice can have.
inline constexpr Bytes kMinMemory = kMiB;

/// Reads "30%" or "12.5%"; `what` ("share", "limit") starts the error's sentence.
/// Errors: kInvalidArgument (no % sign, not a number, outside 1 % to 100 %).
Result<Permille> ParsePercent(std::string_view what, std::string_view text);

/// Reads a quantity as Kubernetes does: "8Gi" (or "8GiB"), "500M", "1073741824".
/// Errors: kInvalidArgument ("8GB" can be read two ways; not a number; below kMinMemory).
Result<Bytes> ParseBytes(std::string_view what, std::string_view text);

/// "30 %", "12.5 %".
std::string FormatPercent(Permille share);

/// "8.0 GiB", "512 MiB", "17 B".
std::string FormatBytes(Bytes bytes);

}  // namespace flexai::model
