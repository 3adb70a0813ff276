// The openb lists (Alibaba cluster-trace-gpu-v2023) as values. The text comes from the caller;
// files are read at the edge. Format: docs/formats/openb.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/request.h"
#include "flexai/schedule/sim/rows.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule::sim {

/// Names of card models, numbered in the order of their first use.
class ModelNames {
 public:
  /// The model's number, a new one if need be; kMostModels when there are too many.
  uint32_t Number(std::string_view name);

 private:
  std::vector<std::string> names_;
};

struct NodeList {
  std::vector<Node> nodes;
  std::vector<BadRow> bad;
};

struct PodList {
  std::vector<Request> pods;  // by name, equal names as they stand in the text
  std::vector<BadRow> bad;
};

/// Needs the columns sn, cpu_milli, memory_mib, gpu and model; others are ignored.
/// Errors: kInvalidArgument (the head lacks a column). Bad rows are no error: they are listed.
Result<NodeList> ReadOpenbNodes(std::string_view text, ModelNames* models);

/// Needs the columns name, cpu_milli, memory_mib, num_gpu and gpu_milli; gpu_spec may be missing.
/// Errors: as ReadOpenbNodes.
Result<PodList> ReadOpenbPods(std::string_view text, ModelNames* models);

}  // namespace flexai::schedule::sim
