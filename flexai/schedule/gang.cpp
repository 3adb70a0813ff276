#include "flexai/schedule/gang.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "flexai/schedule/remote.h"

namespace flexai::schedule {
namespace {

constexpr size_t kMostOthers = 64;  // of a gang that stand for all of it

uint32_t Zone(const Snapshot& snapshot, NodeId node, Level level) {
  switch (level) {
    case Level::kNode:
      return node;
    case Level::kRack:
      return snapshot.empty(node).rack;
    case Level::kBlock:
      return snapshot.empty(node).block;
    case Level::kAnywhere:
      return 0;
  }
  return 0;
}

// Where the tasks of a gang, or of one part, are already: the rest has to join them.
std::optional<NodeId> Anchor(const Session& session, GangId gang, const Part* part) {
  std::optional<NodeId> node;
  session.workload().ForEachTask(gang, [&](JobId job) {
    if (part != nullptr && (job < part->first || job >= part->first + part->tasks)) return;
    if (!node && session.snapshot().placed(job)) node = session.snapshot().placement(job).node;
  });
  return node;
}

std::vector<NodeId> Near(const Snapshot& snapshot, NodeId anchor, Level level,
                         std::span<const NodeId> within) {
  std::vector<NodeId> nodes;
  for (const NodeId node : within) {
    if (Zone(snapshot, node, level) == Zone(snapshot, anchor, level)) nodes.push_back(node);
  }
  return nodes;
}

// Groups of these nodes at the level, those with the fewest slots that are enough first: so that
// large groups stay whole.
std::vector<std::vector<NodeId>> Ordered(const Snapshot& snapshot, Level level,
                                         std::span<const NodeId> within, const Request& request,
                                         uint32_t needed) {
  std::map<uint32_t, std::vector<NodeId>> zones;
  for (const NodeId node : within) zones[Zone(snapshot, node, level)].push_back(node);
  std::vector<std::pair<uint64_t, std::vector<NodeId>>> sorted;
  for (auto& [zone, nodes] : zones) {
    uint64_t slots = 0;
    for (const NodeId node : nodes) slots += Slots(snapshot, node, request);
    sorted.push_back({slots >= needed ? slots : UINT64_MAX - slots, std::move(nodes)});
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::vector<NodeId>> ordered;
  ordered.reserve(sorted.size());
  for (auto& [slots, nodes] : sorted) ordered.push_back(std::move(nodes));
  return ordered;
}

std::vector<NodeId> AllNodes(const Snapshot& snapshot) {
  std::vector<NodeId> nodes(snapshot.nodes());
  for (NodeId node = 0; node < snapshot.nodes(); ++node) nodes[node] = node;
  return nodes;
}

bool PlaceTasks(Session* session, GangId gang, const Part& part, std::span<const NodeId> nodes,
                const PlaceTask& place) {
  uint32_t placed = session->workload().Placed(part);
  for (uint32_t i = 0; i < part.tasks && placed < part.minimum; ++i) {
    if (session->snapshot().placed(part.first + i)) continue;
    if (!place(session, gang, part.first + i, nodes)) return false;
    ++placed;
  }
  return true;
}

bool PlacePart(Session* session, GangId gang, const Part& part, std::span<const NodeId> nodes,
               const PlaceTask& place) {
  const uint32_t placed = session->workload().Placed(part);
  if (placed >= part.minimum) return true;
  if (part.required == Level::kAnywhere) return PlaceTasks(session, gang, part, nodes, place);
  const Snapshot& snapshot = session->snapshot();
  const std::vector<NodeId> within =
      nodes.empty() ? AllNodes(snapshot) : std::vector<NodeId>(nodes.begin(), nodes.end());
  std::vector<std::vector<NodeId>> zones;
  if (const std::optional<NodeId> anchor = Anchor(*session, gang, &part)) {
    zones.push_back(Near(snapshot, *anchor, part.required, within));
  } else {
    zones = Ordered(snapshot, part.required, within, part.request, part.minimum);
  }
  for (const std::vector<NodeId>& zone : zones) {
    const Session::Point point = session->Checkpoint();
    if (!zone.empty() && PlaceTasks(session, gang, part, zone, place)) return true;
    session->Rollback(point);
  }
  return false;
}

// Who can use the fewest models and asks for most comes first: others are less likely to be in its
// way where they have the choice.
std::vector<const Part*> HardestFirst(const Gang& gang) {
  std::vector<const Part*> parts;
  parts.reserve(gang.parts.size());
  for (const Part& part : gang.parts) parts.push_back(&part);
  const auto rank = [](const Part* part) {
    const Request& request = part->request;
    return std::tuple(request.cards == 0, std::popcount(request.models), -CardDemand(request),
                      -request.cpu_milli);
  };
  std::stable_sort(parts.begin(), parts.end(),
                   [&](const Part* a, const Part* b) { return rank(a) < rank(b); });
  return parts;
}

bool PlaceParts(Session* session, GangId gang, std::span<const NodeId> nodes,
                const PlaceTask& place) {
  const Session::Point point = session->Checkpoint();
  std::vector<const Part*> parts = HardestFirst(session->workload()[gang]);
  // Where the first takes the place that only another can use, another goes first.
  size_t turn = 0;
  do {
    const bool all = std::all_of(parts.begin(), parts.end(), [&](const Part* part) {
      return PlacePart(session, gang, *part, nodes, place);
    });
    if (all) return true;
    session->Rollback(point);
    std::rotate(parts.begin(), parts.begin() + 1, parts.end());
  } while (++turn < parts.size());
  return false;
}

// All parts within one zone of the level.
bool PlaceWithin(Session* session, GangId gang, Level level, const PlaceTask& place) {
  if (level == Level::kAnywhere) return PlaceParts(session, gang, {}, place);
  const Snapshot& snapshot = session->snapshot();
  const std::vector<NodeId> all = AllNodes(snapshot);
  if (const std::optional<NodeId> anchor = Anchor(*session, gang, nullptr)) {
    return PlaceParts(session, gang, Near(snapshot, *anchor, level, all), place);
  }
  const Part& first = session->workload()[gang].parts.front();
  for (const auto& zone : Ordered(snapshot, level, all, first.request, first.minimum)) {
    if (PlaceParts(session, gang, zone, place)) return true;
  }
  return false;
}

// Tasks that a gang can use but need not have, as far as there is room near enough.
void PlaceExtras(Session* session, GangId id) {
  const Gang& gang = session->workload()[id];
  const Snapshot& snapshot = session->snapshot();
  for (const Part& part : gang.parts) {
    const Level level = std::min(gang.required, part.required);
    std::vector<NodeId> nodes;
    for (uint32_t i = 0; i < part.tasks; ++i) {
      const JobId job = part.first + i;
      if (snapshot.placed(job)) continue;
      Verdict ignored;
      if (!session->Allowed(gang, DemandOf(part.request), &ignored)) break;
      if (nodes.empty() && level != Level::kAnywhere) {
        nodes =
            Near(snapshot, *Anchor(*session, id, part.required <= gang.required ? &part : nullptr),
                 level, AllNodes(snapshot));
      }
      if (!PlaceInRoom(session, id, job, nodes)) break;
    }
  }
}

}  // namespace

namespace {

// What a task asks of one node at least: where its CPU may be elsewhere, little but cards.
Request LeastOfANode(const Session& session, const Part& part, Level level) {
  Request least = part.request;
  const bool remote = level == Level::kAnywhere && least.cards > 0 &&
                      BearsRemote(part.remote, session.options().links);
  if (!remote) return least;
  least.cpu_milli = std::min(least.cpu_milli, kRemoteServerCpu);
  least.memory_mib = 0;
  return least;
}

}  // namespace

uint32_t Slots(const Snapshot& snapshot, NodeId node, const Request& request, bool empty) {
  if (!snapshot.open(node)) return 0;
  const Node& whole = snapshot.empty(node);
  const int64_t cpu = empty ? whole.cpu_milli : snapshot.cpu_free(node);
  const int64_t memory = empty ? whole.memory_mib : snapshot.memory_free(node);
  int64_t most = INT32_MAX;
  if (request.cpu_milli > 0) most = std::min(most, cpu / request.cpu_milli);
  if (request.memory_mib > 0) most = std::min(most, memory / request.memory_mib);
  if (request.cards == 0) return static_cast<uint32_t>(std::max<int64_t>(most, 0));
  if ((request.models >> snapshot.model(node) & 1) == 0) return 0;
  // Of each card, how many tasks it could serve; a task takes so many different cards.
  std::vector<int64_t> serves;
  int64_t sum = 0;
  for (uint32_t i = 0; i < snapshot.cards(node); ++i) {
    if ((snapshot.usable(node) >> i & 1) == 0) continue;
    const int64_t share = empty ? kWholeCard : snapshot.shares(node)[i];
    const int64_t card_memory = empty ? whole.card_memory_mib : snapshot.card_memory(node)[i];
    int64_t count = most;
    if (request.share > 0) count = std::min(count, share / request.share);
    if (request.card_memory_mib > 0) count = std::min(count, card_memory / request.card_memory_mib);
    if (count <= 0) continue;
    serves.push_back(count);
    sum += count;
  }
  most = std::min(most, sum / request.cards);
  while (most > 0) {
    int64_t usable = 0;
    for (const int64_t count : serves) usable += std::min(count, most);
    if (usable >= most * request.cards) break;
    most = std::min(most - 1, usable / request.cards);
  }
  return static_cast<uint32_t>(std::max<int64_t>(most, 0));
}

std::optional<NoRoom> ProveNoRoom(const Session& session, GangId id, bool empty) {
  const Snapshot& snapshot = session.snapshot();
  const Gang& gang = session.workload()[id];
  for (size_t index = 0; index < gang.parts.size(); ++index) {
    const Part& part = gang.parts[index];
    const uint32_t placed = empty ? 0 : session.workload().Placed(part);
    if (placed >= part.minimum) continue;
    const Level level = std::min(gang.required, part.required);
    const Request least = LeastOfANode(session, part, level);
    std::map<uint32_t, uint64_t> slots;
    for (NodeId node = 0; node < snapshot.nodes(); ++node) {
      slots[Zone(snapshot, node, level)] += Slots(snapshot, node, least, empty);
    }
    uint64_t best = 0;
    for (const auto& [zone, count] : slots) best = std::max(best, count);
    if (best >= part.minimum - placed) continue;
    return NoRoom{index, static_cast<uint32_t>(best), part.minimum - placed};
  }
  return std::nullopt;
}

Bonds BondsOf(const Session& session, JobId job, std::vector<NodeId>* others) {
  others->clear();
  const Workload& workload = session.workload();
  const Snapshot& snapshot = session.snapshot();
  const Gang& gang = workload[workload.gang(job)];
  const Part& own = workload.part(job);
  Bonds bonds{.was = workload.was(job)};
  if (gang.parts.size() == 1 && own.tasks == 1) return bonds;
  const auto note = [&](JobId task) {
    if (others->size() < kMostOthers && task != job && snapshot.placed(task)) {
      others->push_back(snapshot.placement(task).node);
    }
  };
  for (JobId task = job; task-- > own.first && others->size() < kMostOthers;) note(task);
  for (const Part& part : gang.parts) {
    const JobId begin = &part == &own ? job + 1 : part.first, end = part.first + part.tasks;
    for (JobId task = begin; task < end && others->size() < kMostOthers; ++task) note(task);
  }
  bonds.others = *others;
  if (others->empty()) bonds.to_come = session.Lacking(workload.gang(job))[kCards];
  return bonds;
}

bool PlaceInRoom(Session* session, GangId gang, JobId job, std::span<const NodeId> nodes) {
  const Request& request = session->snapshot().request(job);
  std::vector<NodeId> others;
  const Bonds bonds = BondsOf(*session, job, &others);
  if (const auto place = session->placer()->FindFor(request, bonds, nodes)) {
    return session->Place(job, *place, gang).ok();
  }
  const RemoteUse& use = session->workload().part(job).remote;
  if (!nodes.empty()) return false;  // remote is not near
  const auto plan =
      PlanRemote(session->snapshot(), session->placer(), request, use, session->options().links);
  if (!plan) return false;
  const Placement apart{plan->cards.node, plan->cards.cards, plan->host.node};
  return session->Place(job, apart, gang).ok();
}

bool TakesAll(const Session& session, JobId job) {
  const Part& part = session.workload().part(job);
  return session.workload().Placed(part) <= part.minimum;
}

bool PlaceMinimum(Session* session, GangId id, const PlaceTask& place) {
  const Gang& gang = session->workload()[id];
  for (Level level = std::min(gang.preferred, gang.required);;
       level = static_cast<Level>(static_cast<int>(level) + 1)) {
    if (PlaceWithin(session, id, level, place)) return true;
    if (level == gang.required) return false;
  }
}

bool PlaceGang(Session* session, GangId id, const PlaceTask& place) {
  if (!PlaceMinimum(session, id, place)) return false;
  PlaceExtras(session, id);
  return true;
}

}  // namespace flexai::schedule
