// The question that cards with levers answer: does the driver do what it says, tried on a tiny
// kernel?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flexai::device {

/// Levers that a probe may find not to hold; tenants do without them. Bits, so that they go into
/// one word.
inline constexpr uint32_t kStopLever = 1;       // what runs is stopped, and goes on
inline constexpr uint32_t kHandOverLever = 2;   // the same while a neighbour stays on the card
inline constexpr uint32_t kTimeSliceLever = 4;  // how long the card stays with a process
inline constexpr uint32_t kRecordLever = 8;     // the driver's record of who had the card

struct LeverName {
  uint32_t lever;
  std::string_view name;
};
/// By what reports and files call them.
inline constexpr LeverName kLeverNames[] = {
    {kStopLever, "stop"},
    {kHandOverLever, "hand-over"},
    {kTimeSliceLever, "time-slice"},
    {kRecordLever, "record"},
};

/// What was found of one lever.
struct LeverFinding {
  uint32_t lever = 0;
  bool holds = false;
  std::string found;  // what was seen, for people
  bool operator==(const LeverFinding&) const = default;
};

struct ProbeResult {
  std::string not_probed;            // why nothing is known; empty = something is
  std::vector<LeverFinding> levers;  // those that could be asked
  bool operator==(const ProbeResult&) const = default;
};

class Prober {
 public:
  virtual ~Prober() = default;
  /// Tries the levers of the card `uuid`. Uses the card as a program does and may hang or crash, so
  /// daemons ask in a process of its own. Thread: one, once in a process.
  virtual ProbeResult Probe(const std::string& uuid) = 0;
};

}  // namespace flexai::device
