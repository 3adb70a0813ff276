#include "flexai/schedule/snapshot.h"

#include <algorithm>
#include <bit>
#include <string>

#include "flexai/schedule/remote_use.h"

namespace flexai::schedule {
namespace {

// The list of changes keeps this many per node before its older half is dropped.
constexpr size_t kRememberedPerNode = 8;
constexpr size_t kRememberedAtLeast = 1024;

template <typename Act>
void ForEachCard(CardSet cards, Act act) {
  for (; cards != 0; cards &= cards - 1) act(static_cast<uint32_t>(std::countr_zero(cards)));
}

}  // namespace

BoardId Snapshot::AddBoard(const Board& board) {
  const auto known = std::find(boards_.begin(), boards_.end(), board);
  if (known != boards_.end()) return static_cast<BoardId>(known - boards_.begin());
  boards_.push_back(board);
  return static_cast<BoardId>(boards_.size() - 1);
}

Result<NodeId> Snapshot::AddNode(const Node& node) {
  if (node.cpu_milli < 0 || node.memory_mib < 0 || node.card_memory_mib < 0) {
    return Status(Code::kInvalidArgument, "a node cannot have less than nothing");
  }
  if (node.cards > kMostCards || node.model >= kMostModels) {
    return Status(Code::kInvalidArgument,
                  "a node of " + std::to_string(node.cards) + " cards of model " +
                      std::to_string(node.model) + " is more than can be told apart",
                  "at most 64 cards a node and 64 models a cluster");
  }
  const bool fewer = node.cards < kMostCards;
  if (node.board >= boards_.size() || (fewer && boards_[node.board].all() >> node.cards != 0)) {
    return Status(Code::kInvalidArgument, "a board that is unknown or has other cards");
  }
  cpu_.push_back(node.cpu_milli);
  memory_.push_back(node.memory_mib);
  idle_.push_back(static_cast<int64_t>(node.cards) * kWholeCard);
  model_.push_back(node.model);
  idle_cards_.push_back(node.cards);
  version_.push_back(0);
  hosted_.resize(hosted_.size() + kShapes);
  shares_.resize(shares_.size() + node.cards, kWholeCard);
  card_memory_.resize(card_memory_.size() + node.cards, node.card_memory_mib);
  residents_.resize(residents_.size() + node.cards);
  first_card_.push_back(first_card_.back() + node.cards);
  const size_t numa = boards_[node.board].numa().size();
  if (numa > 0) {
    numa_cpu_.resize(numa_cpu_.size() + numa, node.cpu_milli / static_cast<int64_t>(numa));
  }
  first_numa_.push_back(static_cast<uint32_t>(numa_cpu_.size()));
  empty_.push_back(node);
  usable_.push_back(~CardSet{0});
  open_.push_back(true);
  return nodes() - 1;
}

JobId Snapshot::AddJob(const Request& request, QueueId queue, bool firm) {
  requests_.push_back(request);
  placed_.push_back(false);
  node_of_.push_back(0);
  host_of_.push_back(kSameNode);
  cards_of_.push_back(0);
  queue_of_.push_back(queue);
  firm_.push_back(firm);
  return jobs() - 1;
}

void Snapshot::RenewJob(JobId job, const Request& request, QueueId queue, bool firm) {
  requests_[job] = request;
  queue_of_[job] = queue;
  firm_[job] = firm;
}

bool Snapshot::Fits(NodeId node, const Request& request) const {
  if (!open_[node]) return false;
  if (cpu_[node] < request.cpu_milli || memory_[node] < request.memory_mib) return false;
  if (request.cards == 0) return true;
  if ((request.models >> model_[node] & 1) == 0) return false;
  if (idle_[node] < CardDemand(request)) return false;
  uint32_t found = 0;
  for (uint32_t i = 0; i < cards(node) && found < request.cards; ++i) {
    found += CardFits(node, i, request);
  }
  return found == request.cards;
}

bool Snapshot::HasRoom(const Request& request, const Placement& placement) const {
  const NodeId node = placement.node;
  const bool remote = placement.host != kSameNode;
  const NodeId host = remote ? placement.host : node;
  if (node >= nodes() || host >= nodes() || !open_[node] || !open_[host]) return false;
  if (cpu_[host] < request.cpu_milli || memory_[host] < request.memory_mib) return false;
  if (remote && (request.cards == 0 || host == node || cpu_[node] < kRemoteServerCpu)) return false;
  if (static_cast<uint32_t>(std::popcount(placement.cards)) != request.cards) return false;
  if (request.cards == 0) return true;
  if ((request.models >> model_[node] & 1) == 0) return false;
  bool room = true;
  ForEachCard(placement.cards,
              [&](uint32_t i) { room = room && i < cards(node) && CardFits(node, i, request); });
  return room;
}

void Snapshot::Move(JobId job, const Placement& placement, int sign) {
  const Request& request = requests_[job];
  const NodeId node = placement.node;
  idle_[node] -= sign * CardDemand(request);
  ForEachCard(placement.cards, [&](uint32_t i) {
    const size_t card = first_card_[node] + i;
    idle_cards_[node] -= shares_[card] == kWholeCard;
    shares_[card] -= sign * request.share;
    idle_cards_[node] += shares_[card] == kWholeCard;
    card_memory_[card] -= sign * request.card_memory_mib;
    if (request.load != 0) Settle(card, request, sign);
  });
  TakeHost(request, placement, sign);
  hosted_[node * kShapes + static_cast<uint32_t>(ShapeOf(request))] += static_cast<uint32_t>(sign);
  placed_[job] = sign > 0;
  node_of_[job] = sign > 0 ? node : 0;
  cards_of_[job] = sign > 0 ? placement.cards : 0;
  host_of_[job] = sign > 0 ? placement.host : kSameNode;
  queues_.Charge(queue_of_[job], DemandOf(request), firm_[job], sign);
  NoteChange(node);
}

// CPU and memory: on the node, or on the host of a remote job.
void Snapshot::TakeHost(const Request& request, const Placement& placement, int sign) {
  const NodeId node = placement.node;
  const bool remote = placement.host != kSameNode;
  const NodeId host = remote ? placement.host : node;
  cpu_[host] -= sign * request.cpu_milli;
  memory_[host] -= sign * request.memory_mib;
  if (remote) {
    cpu_[node] -= sign * kRemoteServerCpu;
    NoteChange(host);
  }
  if (!any_board()) return;
  const int64_t cpu = remote ? kRemoteServerCpu : request.cpu_milli;
  const std::vector<CardSet>& numa = board(node).numa();
  for (size_t i = 0; i < numa.size() && placement.cards != 0; ++i) {
    const int64_t here = std::popcount(placement.cards & numa[i]);
    numa_cpu_[first_numa_[node] + i] -= sign * (cpu * here / request.cards);
  }
}

Holding Snapshot::held(JobId job, NodeId node) const {
  const Request& request = requests_[job];
  const Placement place = placement(job);
  const bool remote = place.host != kSameNode;
  Holding holding;
  if (node == (remote ? place.host : place.node)) {
    holding.cpu_milli = request.cpu_milli;
    holding.memory_mib = request.memory_mib;
  }
  if (node != place.node) return holding;
  holding.cards = place.cards;
  if (remote) holding.cpu_milli = kRemoteServerCpu;
  return holding;
}

void Snapshot::Settle(size_t card, const Request& request, int sign) {
  std::vector<Resident>& residents = residents_[card];
  auto at = std::find_if(residents.begin(), residents.end(),
                         [&](const Resident& other) { return other.load >= request.load; });
  if (at == residents.end() || at->load != request.load) {
    at = residents.insert(at, Resident{.load = request.load});
  }
  at->jobs += static_cast<uint32_t>(sign);
  at->share += sign * request.share;
  if (at->jobs == 0) residents.erase(at);
}

void Snapshot::NoteChange(NodeId node) {
  ++version_[node];
  changed_.push_back(node);
  if (changed_.size() > kRememberedPerNode * nodes() + kRememberedAtLeast) {
    const size_t half = changed_.size() / 2;
    changed_.erase(changed_.begin(), changed_.begin() + static_cast<ptrdiff_t>(half));
    forgotten_ += half;
  }
}

Status Snapshot::Place(JobId job, const Placement& placement) {
  if (placed_[job] || !HasRoom(requests_[job], placement)) {
    return Status(Code::kFailedPrecondition,
                  "job " + std::to_string(job) + " cannot be placed on node " +
                      std::to_string(placement.node) +
                      (placed_[job] ? ": it is placed already" : ": not enough is left there"));
  }
  if (recording_) undo_.push_back({job, false, {}});
  Move(job, placement, 1);
  return Status();
}

void Snapshot::Remove(JobId job) {
  const Placement was = placement(job);
  if (recording_) undo_.push_back({job, true, was});
  Move(job, was, -1);
}

Status Snapshot::Resize(JobId job, Milli share) {
  const Placement place = placement(job);
  const Milli was = requests_[job].share;
  bool room = placed_[job] && share >= 0 && share <= kWholeCard;
  ForEachCard(place.cards, [&](uint32_t i) {
    room = room && shares_[first_card_[place.node] + i] + was >= share;
  });
  if (!room) {
    return Status(Code::kFailedPrecondition,
                  "job " + std::to_string(job) + " cannot get a share of " + std::to_string(share));
  }
  if (recording_) undo_.push_back({job, true, place, was});
  Move(job, place, -1);
  requests_[job].share = share;
  Move(job, place, 1);
  return Status();
}

void Snapshot::Reset(JobId job, Milli share) {
  if (recording_) undo_.push_back({job, false, {}, requests_[job].share});
  requests_[job].share = share;
}

void Snapshot::SetHealth(NodeId node, bool open, CardSet usable) {
  open_[node] = open;
  usable_[node] = usable;
  NoteChange(node);
}

void Snapshot::UndoTo(size_t steps) {
  while (undo_.size() > steps) {
    const Step step = undo_.back();
    undo_.pop_back();
    if (step.share >= 0 && !step.placed) {
      requests_[step.job].share = step.share;
    } else if (step.share >= 0) {
      Move(step.job, step.was, -1);
      requests_[step.job].share = step.share;
      Move(step.job, step.was, 1);
    } else if (step.placed) {
      Move(step.job, step.was, 1);
    } else {
      Move(step.job, placement(step.job), -1);
    }
  }
}

bool Snapshot::ChangedSince(uint64_t seen, std::span<const NodeId>* nodes) const {
  if (seen < forgotten_) return false;
  *nodes = std::span<const NodeId>(changed_).subspan(static_cast<size_t>(seen - forgotten_));
  return true;
}

bool Snapshot::SameState(const Snapshot& other) const {
  return cpu_ == other.cpu_ && memory_ == other.memory_ && idle_ == other.idle_ &&
         model_ == other.model_ && first_card_ == other.first_card_ &&
         idle_cards_ == other.idle_cards_ && hosted_ == other.hosted_ && shares_ == other.shares_ &&
         card_memory_ == other.card_memory_ && residents_ == other.residents_ &&
         numa_cpu_ == other.numa_cpu_ && requests_ == other.requests_ && placed_ == other.placed_ &&
         node_of_ == other.node_of_ && host_of_ == other.host_of_ && cards_of_ == other.cards_of_ &&
         usable_ == other.usable_ && open_ == other.open_ && queues_.SameUse(other.queues_);
}

}  // namespace flexai::schedule
