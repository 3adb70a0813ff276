#include "apps/flexai/sim_words.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "apps/flexai/output.h"

namespace flexai::cli {
namespace {

constexpr size_t kMostSeeds = 1000;
constexpr double kCurveStep = 1.0 / 64;  // exact, so that 1 comes once
constexpr size_t kShownBadRows = 5;

bool ParseWhole(std::string_view text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<std::vector<uint64_t>> ParseSeeds(std::string_view text) {
  const Status wrong(Code::kInvalidArgument,
                     "seeds '" + std::string(text) + "' are no list of numbers",
                     "write 42, or 42-51, or 1,5,9; at most 1000 of them");
  std::vector<uint64_t> seeds;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t dash = part.find('-');
    uint64_t first = 0, last = 0;
    if (!ParseWhole(part.substr(0, dash), &first)) return wrong;
    last = first;
    if (dash != std::string_view::npos && !ParseWhole(part.substr(dash + 1), &last)) return wrong;
    if (last < first || last - first >= kMostSeeds - seeds.size()) return wrong;
    for (uint64_t seed = first; seed - first <= last - first; ++seed) seeds.push_back(seed);
    if (comma == std::string_view::npos) return seeds;
    text.remove_prefix(comma + 1);
  }
}

Result<double> ParseArrival(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0 && value <= 10)) {
    return Status(Code::kInvalidArgument, "arrival '" + std::string(text) + "' is not usable",
                  "write a number up to 10, as 1.3 for 130 % of the cluster's cards");
  }
  return value;
}

Result<uint64_t> ParseMoves(std::string_view text) {
  uint64_t moves = 0;
  if (ParseWhole(text, &moves)) return moves;
  return Status(Code::kInvalidArgument, "moves '" + std::string(text) + "' is not a whole number",
                "write how many jobs may be moved, as 100");
}

Result<double> ParseScale(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0 && value <= 100)) {
    return Status(Code::kInvalidArgument, "scale '" + std::string(text) + "' is not usable",
                  "write a number up to 100, as 0.25 for a quarter of the recorded nodes");
  }
  return value;
}

std::vector<double> MarksOf(double arrival) {
  if (arrival > 1) return {1.0, arrival};
  return {arrival};
}

std::vector<double> MarksOfCurve(double arrival) {
  std::vector<double> marks = MarksOf(arrival);
  for (int step = 1; step * kCurveStep < arrival; ++step) marks.push_back(step * kCurveStep);
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  return marks;
}

Status JudgeBadRows(const std::string& path, const std::vector<schedule::sim::BadRow>& bad,
                    bool skip) {
  if (bad.empty()) return Status();
  const auto where = [&](const schedule::sim::BadRow& row) {
    return path + ":" + std::to_string(row.line) + ": " + row.reason;
  };
  if (!skip) {
    const std::string more =
        bad.size() > 1 ? " (and " + std::to_string(bad.size() - 1) + " more bad rows)" : "";
    return Status(Code::kInvalidArgument, where(bad[0]) + more,
                  "mend it, or leave such rows out with --skip-bad");
  }
  std::string text;
  for (size_t i = 0; i < bad.size() && i < kShownBadRows; ++i) {
    text += "flexai: skipped " + Printable(where(bad[i])) + "\n";
  }
  if (bad.size() > kShownBadRows) {
    text += "flexai: skipped " + std::to_string(bad.size() - kShownBadRows) + " more rows of " +
            Printable(path) + "\n";
  }
  std::fputs(text.c_str(), stderr);
  return Status();
}

void ShowProgress(const std::string& text) {
  static const bool terminal = isatty(STDERR_FILENO);
  if (terminal) std::fprintf(stderr, "\r\033[K%s", text.c_str());
}

}  // namespace flexai::cli
