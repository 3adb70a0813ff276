#include "flexai/schedule/sim/openb.h"

#include <algorithm>
#include <utility>

#include "flexai/schedule/sim/rows.h"

namespace flexai::schedule::sim {
namespace {

constexpr int64_t kMostAmount = int64_t{1} << 40;  // milli-CPU or MiB of one node

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
