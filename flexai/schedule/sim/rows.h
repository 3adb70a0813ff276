// Lists as text: the first line names the columns, commas between, no quotes. What both recorded
// traces have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::schedule::sim {

/// A row that cannot be used.
struct BadRow {
  size_t line = 0;  // 1 is the head
  std::string reason;
};

/// The parts between separators; one part where there is none.
std::vector<std::string_view> Split(std::string_view text, char separator);

/// One row of a list whose columns are known; remembers the first thing that is wrong with it.
class Row {
 public:
  Row(std::span<const std::string_view> names, std::span<const size_t> places,
      std::vector<std::string_view> cells)
      : names_(names), places_(places), cells_(std::move(cells)) {}

  std::string_view Text(size_t column) const {
    return places_[column] < cells_.size() ? cells_[places_[column]] : std::string_view();
  }
  /// A whole number; fails the row where it is none or out of range.
  int64_t Number(size_t column, int64_t least, int64_t most);
  void Fail(size_t column, const std::string& why);
  const std::string& reason() const { return reason_; }

 private:
  std::span<const std::string_view> names_;
  std::span<const size_t> places_;
  std::vector<std::string_view> cells_;
  std::string reason_;
};

/// Calls `take` for each row; what it fails, and rows of another width than the head, become bad.
/// The last `optional` columns may be missing from the head.
/// Errors: kInvalidArgument (the head lacks a column).
Status ReadRows(std::string_view text, std::span<const std::string_view> names, size_t optional,
                std::vector<BadRow>* bad, const std::function<void(Row*)>& take);

}  // namespace flexai::schedule::sim
