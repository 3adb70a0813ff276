// Where a job goes: the interface of every policy, and the list of them by name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flexai/base/status.h"
#include "flexai/schedule/fragmentation.h"
#include "flexai/schedule/interference.h"
#include "flexai/schedule/remote_use.h"
#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// Of the half of a job that waits for cards on another node.
struct RemoteBond {
  NodeId cards = 0;    // where these are
  int64_t demand = 0;  // Units: milli-cards
  RemoteUse use;
};

/// What binds one job to places, besides what it asks for.
struct Bonds {
  std::span<const NodeId> others = {};  // where tasks of its gang are, one entry for each
  std::optional<NodeId> was = {};       // the node from which it was taken
  const RemoteBond* remote = nullptr;
  int64_t to_come = 0;  // milli-cards that its gang still lacks, its own with them
};

class Placer {
 public:
  virtual ~Placer() = default;
  /// The place the policy prefers, or nothing where the request fits nowhere. Changes nothing.
  std::optional<Placement> Find(const Request& request) { return FindFor(request, {}, {}); }
  /// As Find, of a job with such bonds, on one of `nodes` or, where the list is empty, on any. Not
  /// every policy minds bonds.
  virtual std::optional<Placement> FindFor(const Request& request, const Bonds& bonds,
                                           std::span<const NodeId> nodes) = 0;
};

/// What a policy may know besides the snapshot. Everything must outlive the placer.
struct PolicyInput {
  const Snapshot* snapshot = nullptr;
  const Fragmentation* fragmentation = nullptr;
  std::span<const TypicalJob> typical;
  uint64_t seed = 0;                           // for policies that draw lots
  const Interference* interference = nullptr;  // none: nobody disturbs anybody
  const RemoteLinks* links = nullptr;          // none: all links are alike
};

/// "flexai", "fgd", ...: in the order in which tables show them.
std::span<const std::string_view> PolicyNames();

/// Errors: kInvalidArgument (no policy has this name).
Status CheckPolicy(std::string_view policy);

/// Errors: as CheckPolicy.
Result<std::unique_ptr<Placer>> MakePlacer(std::string_view policy, const PolicyInput& input);

}  // namespace flexai::schedule
