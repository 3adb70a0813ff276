#include "flexai/model/units.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace flexai::model {
namespace {

std::string Quote(std::string_view text) { return "'" + std::string(text) + "'"; }

// The number at the front of `text`; `rest` becomes what follows. NaN when there is none.
double LeadingNumber(std::string_view text, std::string_view* rest) {
  size_t length = 0;
  bool dot = false;
  while (length < text.size() && length < 24 &&
         ((text[length] >= '0' && text[length] <= '9') || (text[length] == '.' && !dot))) {
    dot = dot || text[length] == '.';
    ++length;
  }
  *rest = text.substr(length);
  if (length == 0 || (length == 1 && dot)) return std::nan("");
  return std::strtod(std::string(text.substr(0, length)).c_str(), nullptr);
}

struct Suffix {
  std::string_view text;
  double factor;
};
constexpr Suffix kSuffixes[] = {
    {"", 1},         {"B", 1},        {"Ki", 0x1p10},  {"Mi", 0x1p20},  {"Gi", 0x1p30},
    {"Ti", 0x1p40},  {"Pi", 0x1p50},  {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
    {"TiB", 0x1p40}, {"PiB", 0x1p50}, {"k", 1e3},      {"M", 1e6},      {"G", 1e9},
    {"T", 1e12},     {"P", 1e15},
};

// "8GB" is read as 8e9 by some and as 8 GiB by others, so it is not read at all.
Status AmbiguousBytes(std::string_view what, std::string_view text, double number, char unit) {
  char hint[160];
  const std::string_view units = "KMGTP";
  const double power = static_cast<double>(units.find(unit)) + 1;
  std::snprintf(hint, sizeof(hint), "write %g%ciB for %.0f bytes or %g%c for %.0f bytes", number,
                unit, number * std::pow(1024.0, power), number, unit == 'K' ? 'k' : unit,
                number * std::pow(1000.0, power));
  return Status(Code::kInvalidArgument,
                std::string(what) + " " + Quote(text) + " can be meant two ways", hint);
}

}  // namespace

Result<Permille> ParsePercent(std::string_view what, std::string_view text) {
  const std::string subject = std::string(what) + " " + Quote(text);
  const std::string hint = "write a percentage from 1% to 100%, such as 30%";
  std::string_view rest;
  const double number = LeadingNumber(text, &rest);
  if (!text.empty() && text[0] == '-') {
    return Status(Code::kInvalidArgument, subject + " is negative", hint);
  }
  if (std::isnan(number)) return Status(Code::kInvalidArgument, subject + " is not a number", hint);
  if (rest.empty()) {
    return Status(Code::kInvalidArgument, subject + " has no % sign",
                  "write " + std::string(text) + "% if percent of a card is meant");
  }
  if (rest != "%") return Status(Code::kInvalidArgument, subject + " is not a percentage", hint);
  const double permille = std::round(number * 10);
  if (permille > kWholeCard) {
    return Status(Code::kInvalidArgument, subject + " is more than a whole card", hint);
  }
  if (permille < kMinShare) {
    return Status(Code::kInvalidArgument, subject + " is less than the smallest share of 1%", hint);
  }
  if (std::abs(permille - number * 10) > 1e-6) {
    return Status(Code::kInvalidArgument, subject + " is finer than 0.1%", hint);
  }
  return static_cast<Permille>(permille);
}

Result<Bytes> ParseBytes(std::string_view what, std::string_view text) {
  const std::string subject = std::string(what) + " " + Quote(text);
  const std::string hint = "write an amount with a unit, such as 8Gi or 512Mi";
  std::string_view rest;
  const double number = LeadingNumber(text, &rest);
  if (!text.empty() && text[0] == '-') {
    return Status(Code::kInvalidArgument, subject + " is negative", hint);
  }
  if (std::isnan(number)) return Status(Code::kInvalidArgument, subject + " is not a number", hint);
  if (rest.size() == 2 && rest[1] == 'B' &&
      std::string_view("KMGTPk").find(rest[0]) != std::string_view::npos) {
    return AmbiguousBytes(what, text, number, rest[0] == 'k' ? 'K' : rest[0]);
  }
  for (const Suffix& suffix : kSuffixes) {
    if (rest != suffix.text) continue;
    const double bytes = number * suffix.factor;
    if (bytes >= 0x1p63) return Status(Code::kInvalidArgument, subject + " is too large", hint);
    if (bytes < static_cast<double>(kMinMemory)) {
      return Status(Code::kInvalidArgument,
                    subject + " is " + FormatBytes(static_cast<Bytes>(bytes)) +
                        ", less than the smallest slice of 1 MiB",
                    hint);
    }
    return static_cast<Bytes>(bytes);
  }
  return Status(Code::kInvalidArgument, subject + " has an unknown unit " + Quote(rest), hint);
}

std::string FormatPercent(Permille share) {
  char text[32];
  if (share % 10 == 0) {
    std::snprintf(text, sizeof(text), "%d %%", share / 10);
  } else {
    std::snprintf(text, sizeof(text), "%.1f %%", share / 10.0);
  }
  return text;
}

std::string FormatBytes(Bytes bytes) {
  char text[32];
  const double value = static_cast<double>(bytes);
  if (bytes >= 1024 * kGiB) {
    std::snprintf(text, sizeof(text), "%.1f TiB", value / 0x1p40);
  } else if (bytes >= kGiB) {
    std::snprintf(text, sizeof(text), "%.1f GiB", value / 0x1p30);
  } else if (bytes >= kMiB) {
    std::snprintf(text, sizeof(text), "%.0f MiB", value / 0x1p20);
  } else if (bytes >= 1024) {
    std::snprintf(text, sizeof(text), "%.0f KiB", value / 0x1p10);
  } else {
    std::snprintf(text, sizeof(text), "%llu B", static_cast<unsigned long long>(bytes));
  }
  return text;
}

}  // namespace flexai::model
