#include "flexai/schedule/remote.h"

#include <algorithm>
#include <array>
#include <vector>

#include "flexai/schedule/statement.h"

namespace flexai::schedule {

int64_t RemoteSlowdown(const RemoteUse& use, const RemoteLink& link) {
  const double waiting =
      static_cast<double>(use.waits_per_s) * static_cast<double>(link.round_trip_ns) * 1e-9;
  const double moving =
      static_cast<double>(use.bytes_per_s) / static_cast<double>(link.bytes_per_s);
  return static_cast<int64_t>(std::min(1e6 * (waiting + moving), 1e15));
}

Request HostHalf(const Request& request) {
  return {.cpu_milli = request.cpu_milli, .memory_mib = request.memory_mib};
}

Request CardHalf(const Request& request) {
  Request half = request;
  half.cpu_milli = kRemoteServerCpu;
  half.memory_mib = 0;
  return half;
}

namespace {

// The nodes that are near enough to these cards for the budget; empty: all. Nothing: none is.
std::optional<std::vector<NodeId>> NearEnough(const Snapshot& snapshot, NodeId cards,
                                              const RemoteUse& use, const RemoteLinks& links) {
  const auto bears = [&](const RemoteLink& link) {
    return RemoteSlowdown(use, link) <= use.budget_ppm;
  };
  if (bears(links.anywhere)) return std::vector<NodeId>();
  const Node& with_cards = snapshot.empty(cards);
  std::vector<NodeId> nodes;
  for (NodeId node = 0; node < snapshot.nodes(); ++node) {
    const Node& other = snapshot.empty(node);
    const bool rack = other.rack == with_cards.rack;
    if (node == cards || other.block != with_cards.block) continue;
    if (bears(rack ? links.rack : links.block)) nodes.push_back(node);
  }
  if (nodes.empty()) return std::nullopt;
  return nodes;
}

}  // namespace

bool BearsRemote(const RemoteUse& use, const RemoteLinks& links) {
  const std::array slowdowns = {RemoteSlowdown(use, links.rack), RemoteSlowdown(use, links.block),
                                RemoteSlowdown(use, links.anywhere)};
  return use.budget_ppm > 0 &&
         *std::min_element(slowdowns.begin(), slowdowns.end()) <= use.budget_ppm;
}

std::optional<RemotePlan> PlanRemote(const Snapshot& snapshot, Placer* placer,
                                     const Request& request, const RemoteUse& use,
                                     const RemoteLinks& links) {
  if (request.cards == 0 || !BearsRemote(use, links)) return std::nullopt;
  const std::optional<Placement> cards = placer->Find(CardHalf(request));
  if (!cards) return std::nullopt;
  const auto nodes = NearEnough(snapshot, cards->node, use, links);
  if (!nodes) return std::nullopt;
  const RemoteBond bond{cards->node, CardDemand(request), use};
  const std::optional<Placement> host =
      placer->FindFor(HostHalf(request), {.remote = &bond}, *nodes);
  if (!host || host->node == cards->node) return std::nullopt;
  return RemotePlan{*host, *cards};
}

Status CarryOut(const RemotePlan& plan, const Request& request, Snapshot* snapshot) {
  Statement statement(snapshot);
  FLEXAI_RETURN_IF_ERROR(statement.Place(snapshot->AddJob(HostHalf(request)), plan.host));
  FLEXAI_RETURN_IF_ERROR(statement.Place(snapshot->AddJob(CardHalf(request)), plan.cards));
  statement.Commit();
  return Status();
}

}  // namespace flexai::schedule
