#include "flexai/model/slice_spec.h"

namespace flexai::model {

std::string_view PriorityName(Priority priority) {
  switch (priority) {
    case Priority::kLow:
      return "low";
    case Priority::kNormal:
      return "normal";
    case Priority::kHigh:
      return "high";
  }
  return "normal";
}

Result<Priority> ParsePriority(std::string_view text) {
  for (const Priority p : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
    if (text == PriorityName(p)) return p;
  }
  return Status(Code::kInvalidArgument, "priority '" + std::string(text) + "' is unknown",
                "write high, normal or low");
}

Status CheckSpec(const SliceSpec& spec) {
  if (spec.share < kMinShare || spec.share > kWholeCard) {
    return Status(Code::kInvalidArgument,
                  "share " + FormatPercent(spec.share) + " is outside 1 % to 100 %",
                  "write a share such as 30%");
  }
  if (spec.limit < spec.share || spec.limit > kWholeCard) {
    return Status(
        Code::kInvalidArgument,
        "limit " + FormatPercent(spec.limit) + " is outside the share of " +
            FormatPercent(spec.share) + " to 100 %",
        "raise the limit to the share or more, or leave it out to hold exactly the share");
  }
  if (spec.memory != 0 && spec.memory < kMinMemory) {
    return Status(
        Code::kInvalidArgument,
        "memory " + FormatBytes(spec.memory) + " is less than the smallest slice of 1 MiB",
        "write an amount such as 512Mi");
  }
  if (spec.cards < 1 || spec.cards > kMostCards) {
    return Status(Code::kInvalidArgument,
                  "a slice of " + std::to_string(spec.cards) + " cards is outside 1 to " +
                      std::to_string(kMostCards),
                  "write a number such as --cards 2");
  }
  return Status();
}

}  // namespace flexai::model
