#include "flexai/schedule/moves.h"

#include <array>
#include <map>

#include "flexai/schedule/statement.h"

namespace flexai::schedule {
namespace {

// A node as it would be.
struct Imagined {
  std::array<Milli, kMostCards> shares;
  std::array<int64_t, kMostCards> memory;
  uint32_t cards;
  int64_t cpu_milli;

  std::span<const Milli> Shares() const { return {shares.data(), cards}; }
  std::span<const int64_t> Memory() const { return {memory.data(), cards}; }

  // Takes from it (sign 1) or gives back to it (sign -1).
  void Apply(const Request& request, CardSet on, int sign) {
    cpu_milli -= sign * request.cpu_milli;
    for (uint32_t i = 0; i < cards; ++i) {
      if ((on >> i & 1) == 0) continue;
      shares[i] -= sign * request.share;
      memory[i] -= sign * request.card_memory_mib;
    }
  }
};

Imagined Imagine(const Snapshot& snapshot, NodeId node) {
  Imagined imagined;
  imagined.cards = snapshot.cards(node);
  imagined.cpu_milli = snapshot.cpu_free(node);
  for (uint32_t i = 0; i < imagined.cards; ++i) {
    imagined.shares[i] = snapshot.shares(node)[i];
    imagined.memory[i] = snapshot.card_memory(node)[i];
  }
  return imagined;
}

// The tightest cards that fit, or nothing.
std::optional<CardSet> CardsFor(const Imagined& node, const Request& request) {
  CardSet taken = 0;
  for (uint32_t wanted = request.cards; wanted > 0; --wanted) {
    uint32_t best = kMostCards;
    for (uint32_t i = 0; i < node.cards; ++i) {
      if ((taken >> i & 1) != 0 || node.shares[i] < request.share) continue;
      if (node.memory[i] < request.card_memory_mib) continue;
      if (best == kMostCards || node.shares[i] < node.shares[best]) best = i;
    }
    if (best == kMostCards) return std::nullopt;
    taken |= CardSet{1} << best;
  }
  return taken;
}

// Whether the node's amounts would do without the job, its cards aside.
bool MightFit(const Snapshot& snapshot, NodeId node, const Request& job, const Request& request) {
  return snapshot.cpu_free(node) + job.cpu_milli >= request.cpu_milli &&
         snapshot.memory_free(node) + job.memory_mib >= request.memory_mib &&
         snapshot.idle(node) + CardDemand(job) >= CardDemand(request) &&
         (request.cards == 0 || (request.models >> snapshot.model(node) & 1) != 0);
}

}  // namespace

std::optional<Move> PlanMove(const Snapshot& snapshot, const Fragmentation& fragmentation,
                             Placer* placer, const Request& request) {
  std::map<Request, std::optional<Placement>> homes;  // jobs of one kind have the same
  std::optional<Move> best;
  int64_t least = 1;  // a move that leaves more fragments costs later jobs more than it brings
  for (JobId job = 0; job < snapshot.jobs(); ++job) {
    if (!snapshot.placed(job)) continue;
    const Placement now = snapshot.placement(job);
    const Request& moved = snapshot.request(job);
    if (!MightFit(snapshot, now.node, moved, request)) continue;
    Imagined node = Imagine(snapshot, now.node);
    node.Apply(moved, now.cards, -1);
    const std::optional<CardSet> cards = CardsFor(node, request);
    if (!cards) continue;
    auto home = homes.find(moved);
    if (home == homes.end()) home = homes.emplace(moved, placer->Find(moved)).first;
    if (!home->second || home->second->node == now.node) continue;
    node.Apply(request, *cards, 1);
    const NodeId other = home->second->node;
    const int64_t growth =
        fragmentation.Of(node.cpu_milli, snapshot.model(now.node), node.Shares(), node.Memory()) -
        fragmentation.OfNode(snapshot, now.node) +
        fragmentation.After(snapshot, other, moved, home->second->cards) -
        fragmentation.OfNode(snapshot, other);
    if (growth >= least) continue;
    least = growth;
    best = Move{job, *home->second, {now.node, *cards}};
  }
  return best;
}

Status CarryOut(const Move& move, JobId newcomer, Snapshot* snapshot) {
  Statement statement(snapshot);
  statement.Remove(move.job);
  FLEXAI_RETURN_IF_ERROR(statement.Place(newcomer, move.freed));
  FLEXAI_RETURN_IF_ERROR(statement.Place(move.job, move.home));
  statement.Commit();
  return Status();
}

}  // namespace flexai::schedule
