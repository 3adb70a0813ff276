// The cluster as values in flat arrays: what each node and card has left, and which job sits where.
// No change takes more than there is. Who keeps something computed from nodes reads the list of
// changes to know which of them to compute anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/board.h"
#include "flexai/schedule/queues.h"
#include "flexai/schedule/request.h"

namespace flexai::schedule {

/// A make of node, as AddBoard told it; 0: unknown.
using BoardId = uint32_t;

/// A node as it is when empty.
struct Node {
  int64_t cpu_milli = 0;
  int64_t memory_mib = 0;
  int64_t card_memory_mib = 0;  // of each card; 0: unknown, so nobody who asks for some fits
  uint32_t cards = 0;
  uint32_t model = 0;  // of all its cards; an index below kMostModels
  uint32_t rack = 0;   // nodes of one rack, and racks of one block, are near to each other
  uint32_t block = 0;
  BoardId board = 0;
};

inline constexpr NodeId kSameNode = UINT32_MAX;

/// Where a job sits. What serves a remote job takes kRemoteServerCpu where its cards are.
struct Placement {
  NodeId node = 0;
  CardSet cards = 0;
  NodeId host = kSameNode;  // where its CPU and memory are, if its cards are remote
  bool operator==(const Placement&) const = default;
};

/// What one job holds of one node.
struct Holding {
  int64_t cpu_milli = 0;
  int64_t memory_mib = 0;
  CardSet cards = 0;
};

/// The jobs of one load on one card, together.
struct Resident {
  LoadId load = 0;
  uint32_t jobs = 0;
  int64_t share = 0;  // Units: milli-cards
  bool operator==(const Resident&) const = default;
};

class Snapshot {
 public:
  /// Nodes of one make share one board.
  BoardId AddBoard(const Board& board);
  /// Errors: kInvalidArgument (negative amounts, too many cards, a model out of range, no such
  /// board or one with other cards).
  Result<NodeId> AddNode(const Node& node);
  /// Adds a job that waits. What it gets counts for its queue; a firm job is not preemptible.
  JobId AddJob(const Request& request, QueueId queue = kRoot, bool firm = false);
  /// Gives the id of a job that has left, and is not placed, to another that waits.
  void RenewJob(JobId job, const Request& request, QueueId queue, bool firm);

  uint32_t nodes() const { return static_cast<uint32_t>(cpu_.size()); }
  uint32_t jobs() const { return static_cast<uint32_t>(requests_.size()); }
  int64_t cpu_free(NodeId node) const { return cpu_[node]; }
  int64_t memory_free(NodeId node) const { return memory_[node]; }
  uint32_t model(NodeId node) const { return model_[node]; }
  /// What each card of the node has left.
  std::span<const Milli> shares(NodeId node) const {
    return {shares_.data() + first_card_[node], cards(node)};
  }
  /// What each card of the node has left. Units: MiB.
  std::span<const int64_t> card_memory(NodeId node) const {
    return {card_memory_.data() + first_card_[node], cards(node)};
  }
  /// Jobs on the card that told their load, by rising load.
  std::span<const Resident> residents(NodeId node, uint32_t index) const {
    return residents_[first_card_[node] + index];
  }
  uint32_t cards(NodeId node) const { return first_card_[node + 1] - first_card_[node]; }
  /// Units: milli-cards that no job holds, over the node's cards.
  int64_t idle(NodeId node) const { return idle_[node]; }
  /// Cards that no job uses.
  uint32_t idle_cards(NodeId node) const { return idle_cards_[node]; }
  /// Jobs of this shape on the node.
  uint32_t hosted(NodeId node, Shape shape) const {
    return hosted_[node * kShapes + static_cast<uint32_t>(shape)];
  }

  /// The node as it was added.
  const Node& empty(NodeId node) const { return empty_[node]; }
  const Board& board(NodeId node) const { return boards_[empty_[node].board]; }
  /// Whether the board of any node may be known.
  bool any_board() const { return boards_.size() > 1; }
  /// Of each NUMA node of the board: its CPUs less those of the jobs whose cards are there, each
  /// job's in proportion to its cards. Below 0: they want more than it has. Units: milli-CPU.
  std::span<const int64_t> numa_cpu(NodeId node) const {
    return {numa_cpu_.data() + first_numa_[node], first_numa_[node + 1] - first_numa_[node]};
  }
  /// Cards of the node that may be given out.
  CardSet usable(NodeId node) const { return usable_[node]; }
  bool open(NodeId node) const { return open_[node]; }
  /// What has failed or is being emptied takes no new job; what is there stays until removed.
  void SetHealth(NodeId node, bool open, CardSet usable);

  const Queues& queues() const { return queues_; }
  Queues* mutable_queues() { return &queues_; }
  QueueId queue(JobId job) const { return queue_of_[job]; }

  const Request& request(JobId job) const { return requests_[job]; }
  bool placed(JobId job) const { return placed_[job]; }
  /// Only of a job that is placed.
  Placement placement(JobId job) const { return {node_of_[job], cards_of_[job], host_of_[job]}; }
  /// Of a job that is placed: what it holds of this node, if anything.
  Holding held(JobId job, NodeId node) const;

  /// Whether card `index` of the node has what the request asks of each card.
  bool CardFits(NodeId node, uint32_t index, const Request& request) const {
    const size_t card = first_card_[node] + index;
    return (usable_[node] >> index & 1) != 0 && shares_[card] >= request.share &&
           card_memory_[card] >= request.card_memory_mib;
  }
  /// Whether the node has room for the request on some of its cards.
  bool Fits(NodeId node, const Request& request) const;

  /// Errors: kFailedPrecondition (placed already, or more than the node or a card has left).
  Status Place(JobId job, const Placement& placement);
  /// Frees what the job holds; it must be placed.
  void Remove(JobId job);
  /// Gives a placed job another share of the cards that it has.
  /// Errors: kFailedPrecondition (not placed, or a card has not so much left).
  Status Resize(JobId job, Milli share);
  /// Sets what a job that waits asks of each card.
  void Reset(JobId job, Milli share);

  /// Number of changes of nodes so far.
  uint64_t changes() const { return forgotten_ + changed_.size(); }
  /// Nodes changed since there were `seen` changes, oldest first, with repetitions. False when that
  /// is too long ago to tell: then any node may have changed.
  bool ChangedSince(uint64_t seen, std::span<const NodeId>* nodes) const;
  /// Counts the changes of one node.
  uint32_t version(NodeId node) const { return version_[node]; }

  /// Whether every node, card and job is in the same state.
  bool SameState(const Snapshot& other) const;

 private:
  friend class Statement;
  struct Step {  // of the undo log: what the job's placement was before
    JobId job;
    bool placed;
    Placement was;
    Milli share = -1;  // of a change of share: what it was
  };

  bool HasRoom(const Request& request, const Placement& placement) const;
  void Move(JobId job, const Placement& placement, int sign);
  void TakeHost(const Request& request, const Placement& placement, int sign);
  void Settle(size_t card, const Request& request, int sign);
  void NoteChange(NodeId node);
  void UndoTo(size_t steps);

  // One entry per node; first_card_ has one more.
  std::vector<int64_t> cpu_, memory_, idle_;
  std::vector<uint32_t> model_, first_card_ = {0}, idle_cards_, version_;
  std::vector<uint32_t> hosted_;  // nodes x kShapes
  std::vector<Node> empty_;
  std::vector<Board> boards_ = {Board()};
  std::vector<uint32_t> first_numa_ = {0};  // as first_card_
  std::vector<int64_t> numa_cpu_;
  std::vector<CardSet> usable_;
  std::vector<uint8_t> open_;
  // One entry per card.
  std::vector<Milli> shares_;
  std::vector<int64_t> card_memory_;
  std::vector<std::vector<Resident>> residents_;
  // One entry per job.
  std::vector<Request> requests_;
  std::vector<uint8_t> placed_;
  std::vector<NodeId> node_of_, host_of_;
  std::vector<CardSet> cards_of_;
  std::vector<QueueId> queue_of_;
  std::vector<uint8_t> firm_;

  Queues queues_;
  std::vector<NodeId> changed_;
  uint64_t forgotten_ = 0;  // changes dropped from the front of changed_
  std::vector<Step> undo_;
  bool recording_ = false;
};

}  // namespace flexai::schedule
