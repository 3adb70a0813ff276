#include "flexai/schedule/snapshot.h"

#include <gtest/gtest.h>

#include "flexai/schedule/cards.h"
#include "flexai/schedule/dice.h"
#include "flexai/schedule/statement.h"

namespace flexai::schedule {
namespace {

Request PartOf(Milli share, int64_t cpu = 1000) {
  return {.cpu_milli = cpu, .memory_mib = 100, .cards = 1, .share = share};
}

TEST(Snapshot, RefusesWhatANodeOrACardHasNot) {
  Snapshot snapshot;
  ASSERT_EQ(*snapshot.AddNode({.cpu_milli = 8000, .memory_mib = 1000, .cards = 2, .model = 1}), 0u);
  const auto fits = [&](Request request) { return snapshot.Fits(0, request); };
  EXPECT_TRUE(fits({.cpu_milli = 8000, .memory_mib = 1000, .cards = 2, .share = 1000}));
  EXPECT_FALSE(fits({.cpu_milli = 8001, .cards = 1, .share = 1}));
  EXPECT_FALSE(fits({.memory_mib = 1001}));
  EXPECT_FALSE(fits({.cards = 3, .share = 1}));
  EXPECT_FALSE(fits({.models = 1, .cards = 1, .share = 1}));
  EXPECT_TRUE(fits({.models = 2, .cards = 1, .share = 1}));
  // What a card's memory is was not told.
  EXPECT_FALSE(fits({.card_memory_mib = 1, .cards = 1, .share = 1}));

  ASSERT_TRUE(snapshot.Place(snapshot.AddJob(PartOf(600)), {0, 1}).ok());
  EXPECT_EQ(snapshot.shares(0)[0], 400);
  EXPECT_EQ(snapshot.idle(0), 1400);
  EXPECT_EQ(snapshot.idle_cards(0), 1u);
  EXPECT_EQ(snapshot.hosted(0, Shape::kPart), 1u);
  const JobId next = snapshot.AddJob(PartOf(600));
  const std::vector<Placement> wrong = {{0, 1}, {0, 3}, {0, 4}, {0, 0}, {1, 1}};
  for (const Placement& place : wrong) {
    EXPECT_EQ(snapshot.Place(next, place).code(), Code::kFailedPrecondition);
  }
  EXPECT_TRUE(snapshot.Place(next, {0, 2}).ok());
  EXPECT_FALSE(snapshot.Place(next, {0, 2}).ok()) << "it is placed already";
}

TEST(Snapshot, CountsTheMemoryOfCards) {
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.AddNode({.card_memory_mib = 100, .cards = 1}).ok());
  const Request half{.card_memory_mib = 60, .cards = 1, .share = 100};
  ASSERT_TRUE(snapshot.Place(snapshot.AddJob(half), {0, 1}).ok());
  EXPECT_FALSE(snapshot.Fits(0, half));
  snapshot.Remove(0);
  EXPECT_TRUE(snapshot.Fits(0, half));
}

TEST(Snapshot, RefusesNodesItCannotTellApart) {
  Snapshot snapshot;
  EXPECT_FALSE(snapshot.AddNode({.cards = 65}).ok());
  EXPECT_FALSE(snapshot.AddNode({.model = 64}).ok());
  EXPECT_FALSE(snapshot.AddNode({.cpu_milli = -1}).ok());
  EXPECT_EQ(snapshot.nodes(), 0u);
}

TEST(Snapshot, ForgetsOldChangesAndSaysSo) {
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.AddNode({.cpu_milli = 10}).ok());
  const JobId job = snapshot.AddJob({.cpu_milli = 1});
  std::span<const NodeId> nodes;
  for (int i = 0; i < 2000; ++i) {
    const uint64_t before = snapshot.changes();
    ASSERT_TRUE(snapshot.Place(job, {0, 0}).ok());
    snapshot.Remove(job);
    ASSERT_TRUE(snapshot.ChangedSince(before, &nodes));
    ASSERT_EQ(nodes.size(), 2u);
  }
  EXPECT_FALSE(snapshot.ChangedSince(0, &nodes));
}

TEST(Statement, UndoesWhatIsNotCommitted) {
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.AddNode({.cpu_milli = 8000, .memory_mib = 1000, .cards = 2}).ok());
  const JobId first = snapshot.AddJob(PartOf(500)), second = snapshot.AddJob(PartOf(500));
  const Snapshot before = snapshot;
  {
    Statement statement(&snapshot);
    ASSERT_TRUE(statement.Place(first, {0, 1}).ok());
    const size_t checkpoint = statement.Checkpoint();
    statement.Remove(first);
    ASSERT_TRUE(statement.Place(first, {0, 2}).ok());
    ASSERT_TRUE(statement.Place(second, {0, 1}).ok());
    statement.Rollback(checkpoint);
    EXPECT_EQ(snapshot.placement(first), (Placement{0, 1}));
    EXPECT_FALSE(snapshot.placed(second));
  }
  EXPECT_TRUE(snapshot.SameState(before));
  {
    Statement statement(&snapshot);
    ASSERT_TRUE(statement.Place(first, {0, 1}).ok());
    statement.Commit();
    ASSERT_TRUE(statement.Place(second, {0, 1}).ok());
  }
  EXPECT_TRUE(snapshot.placed(first));
  EXPECT_FALSE(snapshot.placed(second));
}

// What is left, added up anew from the nodes and the jobs that are placed on them.
void ExpectNothingOvercommitted(const Snapshot& snapshot, const std::vector<Node>& nodes) {
  std::vector<int64_t> cpu, memory;
  std::vector<std::vector<Milli>> shares;
  std::vector<std::vector<int64_t>> card_memory;
  for (const Node& node : nodes) {
    cpu.push_back(node.cpu_milli);
    memory.push_back(node.memory_mib);
    shares.emplace_back(node.cards, kWholeCard);
    card_memory.emplace_back(node.cards, node.card_memory_mib);
  }
  for (JobId job = 0; job < snapshot.jobs(); ++job) {
    if (!snapshot.placed(job)) continue;
    const Request& request = snapshot.request(job);
    const Placement place = snapshot.placement(job);
    cpu[place.node] -= request.cpu_milli;
    memory[place.node] -= request.memory_mib;
    for (uint32_t i = 0; i < kMostCards; ++i) {
      if ((place.cards >> i & 1) == 0) continue;
      shares[place.node].at(i) -= request.share;
      card_memory[place.node].at(i) -= request.card_memory_mib;
      ASSERT_GE(shares[place.node][i], 0);
      ASSERT_GE(card_memory[place.node][i], 0);
    }
  }
  for (NodeId node = 0; node < snapshot.nodes(); ++node) {
    ASSERT_GE(cpu[node], 0);
    ASSERT_GE(memory[node], 0);
    ASSERT_EQ(cpu[node], snapshot.cpu_free(node));
    ASSERT_EQ(memory[node], snapshot.memory_free(node));
    const std::span<const Milli> left = snapshot.shares(node);
    ASSERT_TRUE(std::equal(left.begin(), left.end(), shares[node].begin(), shares[node].end()));
  }
}

Request Draw(Dice* dice) {
  Request request;
  request.cpu_milli = dice->Below(9000);
  request.memory_mib = dice->Below(900);
  request.cards = dice->Below(4);
  request.share = request.cards > 0 ? static_cast<Milli>(1 + dice->Below(kWholeCard)) : 0;
  request.card_memory_mib = request.cards > 0 && dice->Below(2) > 0 ? dice->Below(60) : 0;
  request.models = dice->Below(3) > 0 ? kAnyModel : ModelSet{1} << dice->Below(2);
  return request;
}

// One random event: a job comes to a drawn place, whether it fits there or not, or one leaves.
void Stir(Snapshot* snapshot, Dice* dice) {
  const JobId job = dice->Below(snapshot->jobs());
  if (snapshot->placed(job)) {
    snapshot->Remove(job);
    return;
  }
  const NodeId node = dice->Below(snapshot->nodes());
  const bool fits = snapshot->Fits(node, snapshot->request(job));
  const CardSet cards = dice->Below(2) > 0 ? TightestCards(*snapshot, node, snapshot->request(job))
                                           : CardSet{dice->Below(16)};
  const Status status = snapshot->Place(job, {node, cards});
  if (!fits) {
    ASSERT_FALSE(status.ok());
  }
}

TEST(Snapshot, RandomEventsNeverOvercommitAndUndoIsExact) {
  for (const uint64_t seed : {1, 2, 3}) {
    Dice dice(seed);
    std::vector<Node> nodes;
    Snapshot snapshot;
    for (int i = 0; i < 20; ++i) {
      nodes.push_back(
          {8000 + dice.Below(8000), 1000, dice.Below(2) * 100, dice.Below(5), dice.Below(2)});
      ASSERT_TRUE(snapshot.AddNode(nodes.back()).ok());
    }
    for (int i = 0; i < 100; ++i) snapshot.AddJob(Draw(&dice));
    for (int round = 0; round < 3400; ++round) {
      const Snapshot before = snapshot;
      {
        Statement statement(&snapshot);
        for (int i = 0; i < 50; ++i) Stir(&snapshot, &dice);
        ExpectNothingOvercommitted(snapshot, nodes);
      }
      ASSERT_TRUE(snapshot.SameState(before));
      for (int i = 0; i < 50; ++i) Stir(&snapshot, &dice);
      ExpectNothingOvercommitted(snapshot, nodes);
    }
  }
}

}  // namespace
}  // namespace flexai::schedule
