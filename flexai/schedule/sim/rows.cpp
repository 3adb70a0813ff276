#include "flexai/schedule/sim/rows.h"

#include <algorithm>
#include <charconv>

namespace flexai::schedule::sim {
namespace {

// Takes the next line off the front, without its end.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

}  // namespace

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

int64_t Row::Number(size_t column, int64_t least, int64_t most) {
  const std::string_view text = Text(column);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    Fail(column, "is not a whole number");
  } else if (value < least || value > most) {
    Fail(column, "is not between " + std::to_string(least) + " and " + std::to_string(most));
  }
  return value;
}

void Row::Fail(size_t column, const std::string& why) {
  if (!reason_.empty()) return;
  reason_ = std::string(names_[column]) + " '" + std::string(Text(column)) + "' " + why;
}

Status ReadRows(std::string_view text, std::span<const std::string_view> names, size_t optional,
                std::vector<BadRow>* bad, const std::function<void(Row*)>& take) {
  const std::vector<std::string_view> head = Split(TakeLine(&text), ',');
  std::vector<size_t> places;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find(head.begin(), head.end(), names[i]);
    if (found == head.end() && i + optional < names.size()) {
      return Status(Code::kInvalidArgument, "line 1 has no column " + std::string(names[i]),
                    "the first line names the columns, with commas between");
    }
    places.push_back(static_cast<size_t>(found - head.begin()));
  }
  for (size_t line = 2; !text.empty(); ++line) {
    const std::string_view whole = TakeLine(&text);
    if (whole.empty()) continue;
    std::vector<std::string_view> cells = Split(whole, ',');
    if (cells.size() != head.size()) {
      bad->push_back({line, std::to_string(cells.size()) + " columns instead of " +
                                std::to_string(head.size())});
      continue;
    }
    Row row(names, places, std::move(cells));
    take(&row);
    if (!row.reason().empty()) bad->push_back({line, row.reason()});
  }
  return Status();
}

}  // namespace flexai::schedule::sim
