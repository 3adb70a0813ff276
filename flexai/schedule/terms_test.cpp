// Each term alone: what it counts, and that our policy goes by it.
#include "flexai/schedule/terms.h"

#include <gtest/gtest.h>

#include <map>

#include "flexai/schedule/statement.h"

namespace flexai::schedule {
namespace {

Request Ask(uint32_t cards, Milli share, LoadId load = 0) {
  return {.cpu_milli = 1000, .cards = cards, .share = share, .load = load};
}

// A cluster of which every term knows all there is to know.
class Terms : public testing::Test {
 protected:
  PolicyInput Input() { return {&snapshot_, &fragmentation_, {}, 0, &pairs_}; }
  std::optional<Placement> Find(const Request& request) {
    return (*MakePlacer("flexai", Input()))->Find(request);
  }
  JobId Put(const Request& request, const Placement& place) {
    const JobId job = snapshot_.AddJob(request);
    EXPECT_TRUE(snapshot_.Place(job, place).ok());
    return job;
  }

  Snapshot snapshot_;
  Fragmentation fragmentation_{std::vector<TypicalJob>{}};
  Interference pairs_;
};

// Two NUMA nodes of four cards, linked two by two.
Board FourPairs() { return *Board::Make({0x0f, 0xf0}, {0x03, 0x0c, 0x30, 0xc0}); }

TEST(Board, RefusesWhatIsNoBoard) {
  EXPECT_FALSE(Board::Make({3, 6}, {}).ok()) << "a card on two NUMA nodes";
  EXPECT_FALSE(Board::Make({}, {0}).ok());
  Snapshot snapshot;
  const BoardId board = snapshot.AddBoard(FourPairs());
  EXPECT_EQ(snapshot.AddBoard(FourPairs()), board);
  EXPECT_FALSE(snapshot.AddNode({.cards = 4, .board = board}).ok()) << "it has eight cards";
  EXPECT_FALSE(snapshot.AddNode({.cards = 8, .board = board + 1}).ok());
}

TEST_F(Terms, LinkDistanceIsTheMeanOverThePairsOfCards) {
  const BoardId board = snapshot_.AddBoard(FourPairs());
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 8, .board = board}).ok());
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 8}).ok());
  const auto term = LinkTerm(Input());
  const Request two = Ask(2, 1000), four = Ask(4, 1000);
  EXPECT_EQ(term->Loss(0, two, 0x03), 0);
  EXPECT_EQ(term->Loss(0, two, 0x06), 2 * 1000 * 50 + 2 * 5000) << "and breaks two pairs";
  EXPECT_EQ(term->Loss(0, two, 0x11), 2 * 1000 * 100 + 2 * 5000);
  EXPECT_EQ(term->Loss(0, four, 0x0f), 4 * 1000 * 50 * 4 / 6);
  EXPECT_EQ(term->Loss(1, two, 0x11), 0) << "nothing is known of its links";
}

TEST_F(Terms, CardsOfOneTaskAreLinkedAndGroupsStayWhole) {
  const BoardId board = snapshot_.AddBoard(FourPairs());
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 8, .board = board}).ok());
  Put(Ask(1, 1000), {0, 0x01});
  EXPECT_EQ(Find(Ask(2, 1000)), (Placement{0, 0x0c})) << "not cards 1 and 2";
  EXPECT_EQ(Find(Ask(4, 1000)), (Placement{0, 0xf0}));
  EXPECT_EQ(Find(Ask(1, 1000)), (Placement{0, 0x02}));
  Put(Ask(1, 1000), {0, 0x40});
  EXPECT_EQ(Find(Ask(1, 1000)), (Placement{0, 0x02}));
  Put(Ask(1, 1000), {0, 0x02});
  EXPECT_EQ(Find(Ask(1, 1000)), (Placement{0, 0x80})) << "rather than half of a pair";
  EXPECT_EQ(Find(Ask(3, 1000)), (Placement{0, 0xb0})) << "one NUMA node";
}

TEST_F(Terms, NumaIsCpusFarFromTheirCards) {
  const BoardId board = snapshot_.AddBoard(*Board::Make({0x3, 0xc}, {}));
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 32000, .cards = 4, .board = board}).ok());
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 32000, .cards = 4}).ok());
  const auto term = NumaTerm(Input());
  Request one = Ask(1, 1000), two = Ask(2, 1000);
  one.cpu_milli = two.cpu_milli = 12000;
  EXPECT_EQ(term->Loss(0, one, 1), 0);
  EXPECT_EQ(term->Loss(0, two, 3), 0);
  EXPECT_EQ(term->Loss(0, two, 6), 2000 * 100 / 2) << "one of its two cards is elsewhere";
  EXPECT_EQ(term->Loss(1, two, 6), 0) << "nothing is known of the node";
  Put(one, {0, 1});
  EXPECT_EQ(snapshot_.numa_cpu(0)[0], 4000);
  EXPECT_EQ(term->Loss(0, one, 2), 1000 * (100 * 8 / 12)) << "8 of its 12 CPUs have to be far";
  EXPECT_EQ(Find(one), (Placement{0, 4})) << "though card 1 is the first that is free";
  Put(two, {0, 6});
  EXPECT_EQ(snapshot_.numa_cpu(0)[0], -2000);
  EXPECT_EQ(snapshot_.numa_cpu(0)[1], 10000);
  const Snapshot before = snapshot_;
  {
    Statement tried(&snapshot_);
    tried.Remove(0);
    EXPECT_EQ(snapshot_.numa_cpu(0)[0], 10000);
  }
  EXPECT_TRUE(snapshot_.SameState(before));
}

TEST_F(Terms, InterferenceIsWhatBothSidesLose) {
  EXPECT_EQ(InterferenceTerm(Input()), nullptr) << "no pair is declared";
  pairs_.Declare(1, 2, 200);
  pairs_.Declare(2, 1, 300);
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 2}).ok());
  const JobId first = Put(Ask(1, 400, 2), {0, 1});
  Put(Ask(1, 100, 2), {0, 1});
  const auto term = InterferenceTerm(Input());
  EXPECT_EQ(term->Loss(0, Ask(1, 500, 1), 1), (500 * 200) + (500 * 300));
  EXPECT_EQ(term->Loss(0, Ask(1, 500, 1), 2), 0) << "nobody is there";
  EXPECT_EQ(term->Loss(0, Ask(1, 500, 3), 1), 0) << "no such pair";
  EXPECT_EQ(term->Loss(0, Ask(1, 500), 1), 0) << "nothing is known of it";
  EXPECT_EQ(Find(Ask(1, 500, 1)), (Placement{0, 2})) << "else the card in use";
  EXPECT_EQ(Find(Ask(1, 500)), (Placement{0, 1}));
  ASSERT_TRUE(snapshot_.Resize(first, 0).ok());
  EXPECT_EQ(term->Loss(0, Ask(1, 500, 1), 1), (500 * 200) + (100 * 300));
}

TEST_F(Terms, PairingIsWhatTheRestIsWorthLess) {
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 3}).ok());
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 1, .model = 1}).ok());
  Put(Ask(1, 470), {0, 1});
  Put(Ask(1, 650), {0, 2});
  // Halves two by two, and more thirds than stand beside 650: 500, 667 and 333 of a card.
  const std::vector<TypicalJob> typical = {
      {1000, 1, 1, 470, 20, 0}, {1000, 1, 1, 650, 10, 0}, {1000, 1, 1, 320, 30, 0}};
  const auto term = PairingTerm({&snapshot_, &fragmentation_, typical, 0});
  EXPECT_EQ(term->Loss(0, Ask(1, 320), 1), 1000 * (500 - 0 - 320)) << "the half's place is gone";
  EXPECT_EQ(term->Loss(0, Ask(1, 320), 2), 1000 * (333 - 0 - 320));
  EXPECT_EQ(term->Loss(0, Ask(1, 320), 4), 1000 * (1000 - 667 - 320));
  EXPECT_EQ(term->Loss(0, Ask(1, 470), 1), 1000 * (500 - 0 - 470));
  EXPECT_EQ(term->Loss(1, Ask(1, 320), 1), 1000 * (1000 - 0 - 320)) << "nobody else comes there";
  EXPECT_EQ(term->Loss(0, Ask(1, 1000), 4), 0);
  EXPECT_EQ(PairingTerm(Input())->Loss(0, Ask(1, 320), 4), 0) << "no job is known";
}

TEST_F(Terms, FragmentsOfPartsCountInFullWhereTheyAskForMemory) {
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .card_memory_mib = 1000, .cards = 1}).ok());
  std::vector<TypicalJob> typical = {{1000, kAnyModel, 1, 700, 1, 0}};
  const auto loss = [&](const Request& request) {
    return FragmentationTerm({&snapshot_, &fragmentation_, typical, 0})->Loss(0, request, 1);
  };
  // 600 are left, too little for the usual job.
  EXPECT_EQ(loss(Ask(1, 400)), 600 * 100);
  typical[0].card_memory_mib = 100;
  EXPECT_EQ(loss(Ask(1, 400)), 600 * 1000) << "pairing does not see memory";
}

std::vector<std::pair<NodeId, int64_t>> Sum(const std::vector<Gain>& gains) {
  std::map<NodeId, int64_t> sum;
  for (const Gain& gain : gains) sum[gain.node] += gain.gain;
  return {sum.begin(), sum.end()};
}

TEST_F(Terms, TopologyDrawsTasksToTheRacksOfTheOthers) {
  // Racks 1 and 2 of block 1, rack 3 of block 2, two nodes each.
  for (uint32_t i = 0; i < 6; ++i) {
    const Node node{.cpu_milli = 64000, .cards = 4, .rack = 1 + i / 2, .block = 1 + i / 4};
    ASSERT_TRUE(snapshot_.AddNode(node).ok());
  }
  const auto pull = TopologyPull(Input());
  const Request request = Ask(4, 1000);
  std::vector<Gain> gains;
  pull->Gains(request, {}, &gains);
  pull->Gains(request, {.to_come = 4000}, &gains);
  EXPECT_TRUE(gains.empty()) << "a job of one task is free";
  const std::vector<NodeId> others = {2, 2, 2, 4};
  pull->Gains(request, {.others = others}, &gains);
  const int64_t most = 4000 * 50;  // for a rack, as much for a block
  EXPECT_EQ(Sum(gains), (std::vector<std::pair<NodeId, int64_t>>{{0, most * 3 / 4},
                                                                 {1, most * 3 / 4},
                                                                 {2, most * 6 / 4},
                                                                 {3, most * 6 / 4},
                                                                 {4, most * 2 / 4},
                                                                 {5, most * 2 / 4}}));
  const auto placer = *MakePlacer("flexai", Input());
  EXPECT_EQ(placer->Find(request)->node, 0u);
  EXPECT_EQ(placer->FindFor(request, {.others = others}, {})->node, 2u);
  const std::vector<NodeId> only = {1, 5};
  EXPECT_EQ(placer->FindFor(request, {.others = others}, only)->node, 1u);
}

TEST_F(Terms, TopologyPutsTheFirstTaskWhereAllHaveRoom) {
  for (uint32_t i = 0; i < 6; ++i) {
    const Node node{.cpu_milli = 64000, .cards = 4, .rack = 1 + i / 2, .block = 1 + i / 4};
    ASSERT_TRUE(snapshot_.AddNode(node).ok());
  }
  Put(Ask(1, 1000), {0, 1});
  Put(Ask(4, 1000), {2, 15});
  const auto placer = *MakePlacer("flexai", Input());
  const auto first = [&](int64_t to_come) {
    return placer->FindFor(Ask(1, 1000), {.to_come = to_come}, {})->node;
  };
  EXPECT_EQ(first(1000), 0u) << "alone it fills the node in use";
  EXPECT_EQ(first(4000), 3u) << "the tightest rack with room for four";
  EXPECT_EQ(first(8000), 4u);
  EXPECT_EQ(first(9000), 0u) << "no rack: the block, which has 11";
  Put(Ask(4, 1000), {4, 15});
  EXPECT_EQ(first(5000), 0u) << "what changed is counted";
}

TEST_F(Terms, StickinessDrawsAJobToWhereItWas) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 4}).ok());
  }
  const auto pull = StickinessPull(Input());
  std::vector<Gain> gains;
  pull->Gains(Ask(1, 500), {}, &gains);
  EXPECT_TRUE(gains.empty());
  pull->Gains(Ask(1, 500), {.was = 1}, &gains);
  pull->Gains(Ask(0, 0), {.was = 1}, &gains);
  EXPECT_EQ(Sum(gains), (std::vector<std::pair<NodeId, int64_t>>{{1, 500 * 100 + 100 * 100}}));
  const auto placer = *MakePlacer("flexai", Input());
  EXPECT_EQ(placer->Find(Ask(1, 500))->node, 0u);
  EXPECT_EQ(placer->FindFor(Ask(1, 500), {.was = 1}, {})->node, 1u);
  Put(Ask(4, 1000), {1, 15});
  EXPECT_EQ(placer->FindFor(Ask(1, 500), {.was = 1}, {})->node, 0u) << "no room there";
}

TEST_F(Terms, RemoteCostDrawsTheCpuToItsCards) {
  for (const auto& [rack, block] : {std::pair{1u, 1u}, {2u, 1u}, {3u, 2u}, {2u, 1u}}) {
    const Node node{.cpu_milli = 64000, .rack = rack, .block = block};
    ASSERT_TRUE(snapshot_.AddNode(node).ok());
  }
  EXPECT_EQ(RemotePull(Input()), nullptr) << "no links are told";
  RemoteLinks links;
  links.rack.round_trip_ns = 10'000;
  links.anywhere.round_trip_ns = 50'000;
  PolicyInput input = Input();
  input.links = &links;
  const auto pull = RemotePull(input);
  std::vector<Gain> gains;
  const Request host{.cpu_milli = 8000};
  pull->Gains(host, {}, &gains);
  EXPECT_TRUE(gains.empty());
  const RemoteBond bond{3, 4000, {.waits_per_s = 1000, .bytes_per_s = 1, .budget_ppm = 60'000}};
  pull->Gains(host, {.remote = &bond}, &gains);
  // 1000 waits a second: 30 us less each in the block, 10 us less in the rack than in the block.
  EXPECT_EQ(Sum(gains), (std::vector<std::pair<NodeId, int64_t>>{
                            {0, 4000 * 30}, {1, 4000 * 40}, {3, 4000 * 40}}));
  const auto placer = *MakePlacer("flexai", input);
  EXPECT_EQ(placer->FindFor(host, {.remote = &bond}, {})->node, 1u);
  EXPECT_EQ(placer->Find(host)->node, 0u);
}

TEST_F(Terms, ResidentsComeBackByUndo) {
  ASSERT_TRUE(snapshot_.AddNode({.cpu_milli = 64000, .cards = 1}).ok());
  const JobId there = Put(Ask(1, 100, 2), {0, 1});
  const Snapshot before = snapshot_;
  {
    Statement tried(&snapshot_);
    tried.Remove(there);
    EXPECT_TRUE(snapshot_.residents(0, 0).empty());
    ASSERT_TRUE(tried.Place(snapshot_.AddJob(Ask(1, 300, 1)), {0, 1}).ok());
    ASSERT_EQ(snapshot_.residents(0, 0).size(), 1u);
    EXPECT_EQ(snapshot_.residents(0, 0)[0], (Resident{1, 1, 300}));
  }
  ASSERT_EQ(snapshot_.residents(0, 0).size(), 1u);
  EXPECT_EQ(snapshot_.residents(0, 0)[0], (Resident{2, 1, 100}));
  EXPECT_EQ(before.residents(0, 0)[0], snapshot_.residents(0, 0)[0]);
}

}  // namespace
}  // namespace flexai::schedule
