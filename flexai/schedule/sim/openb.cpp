#include "flexai/schedule/sim/openb.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

namespace flexai::schedule::sim {
namespace {

constexpr int64_t kMostAmount = int64_t{1} << 40;  // milli-CPU or MiB of one node

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Takes the next line off the front, without its end.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// One row of a list whose columns are known; remembers the first thing that is wrong with it.
class Row {
 public:
  Row(std::span<const std::string_view> names, std::span<const size_t> places,
      std::vector<std::string_view> cells)
      : names_(names), places_(places), cells_(std::move(cells)) {}

  std::string_view Text(size_t column) const {
    return places_[column] < cells_.size() ? cells_[places_[column]] : std::string_view();
  }

  int64_t Number(size_t column, int64_t least, int64_t most) {
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

  void Fail(size_t column, const std::string& why) {
    if (!reason_.empty()) return;
    reason_ = std::string(names_[column]) + " '" + std::string(Text(column)) + "' " + why;
  }
  const std::string& reason() const { return reason_; }

 private:
  std::span<const std::string_view> names_;
  std::span<const size_t> places_;
  std::vector<std::string_view> cells_;
  std::string reason_;
};

// Calls `take` for each row; what it refuses, and rows of another width than the head, become bad.
// The last `optional` columns may be missing from the head.
template <typename Take>
Status ReadRows(std::string_view text, std::span<const std::string_view> names, size_t optional,
                std::vector<BadRow>* bad, Take take) {
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

// "V100M16|V100M32" as a set; the empty text is any model.
ModelSet ModelsOf(Row* row, size_t column, ModelNames* models) {
  const std::string_view text = row->Text(column);
  if (text.empty()) return kAnyModel;
  ModelSet set = 0;
  for (const std::string_view name : Split(text, '|')) {
    const uint32_t number = name.empty() ? kMostModels : models->Number(name);
    if (number == kMostModels) {
      row->Fail(column, name.empty() ? "has an empty name" : "is one model too many: 64 at most");
      return 0;
    }
    set |= ModelSet{1} << number;
  }
  return set;
}

}  // namespace

uint32_t ModelNames::Number(std::string_view name) {
  const auto found = std::find(names_.begin(), names_.end(), name);
  if (found == names_.end()) {
    if (names_.size() == kMostModels) return kMostModels;
    names_.emplace_back(name);
    return static_cast<uint32_t>(names_.size() - 1);
  }
  return static_cast<uint32_t>(found - names_.begin());
}

Result<NodeList> ReadOpenbNodes(std::string_view text, ModelNames* models) {
  static constexpr std::string_view kColumns[] = {"sn", "cpu_milli", "memory_mib", "gpu", "model"};
  NodeList list;
  const Status status = ReadRows(text, kColumns, 0, &list.bad, [&](Row* row) {
    Node node;
    node.cpu_milli = row->Number(1, 0, kMostAmount);
    node.memory_mib = row->Number(2, 0, kMostAmount);
    node.cards = static_cast<uint32_t>(row->Number(3, 0, kMostCards));
    if (row->reason().empty() && node.cards > 0) {
      node.model = row->Text(4).empty() ? kMostModels : models->Number(row->Text(4));
      if (node.model == kMostModels) row->Fail(4, "is no model, or one too many: 64 at most");
    }
    if (row->reason().empty()) list.nodes.push_back(node);
  });
  if (!status.ok()) return status;
  return list;
}

Result<PodList> ReadOpenbPods(std::string_view text, ModelNames* models) {
  static constexpr std::string_view kColumns[] = {"name",    "cpu_milli", "memory_mib",
                                                  "num_gpu", "gpu_milli", "gpu_spec"};
  PodList list;
  std::vector<std::pair<std::string_view, Request>> named;
  const Status status = ReadRows(text, kColumns, 1, &list.bad, [&](Row* row) {
    Request request;
    request.cpu_milli = row->Number(1, 0, kMostAmount);
    request.memory_mib = row->Number(2, 0, kMostAmount);
    request.cards = static_cast<uint32_t>(row->Number(3, 0, kMostCards));
    if (row->reason().empty() && request.cards > 0) {
      request.share = static_cast<Milli>(row->Number(4, 1, kWholeCard));
      request.models = ModelsOf(row, 5, models);
    }
    if (row->reason().empty()) named.emplace_back(row->Text(0), request);
  });
  if (!status.ok()) return status;
  std::stable_sort(named.begin(), named.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [name, request] : named) list.pods.push_back(request);
  return list;
}

}  // namespace flexai::schedule::sim
