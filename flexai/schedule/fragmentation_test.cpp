#include "flexai/schedule/fragmentation.h"

#include <gtest/gtest.h>

#include "flexai/schedule/dice.h"
#include "flexai/schedule/fragment_memory.h"

namespace flexai::schedule {
namespace {

Request Whole(uint32_t cards, int64_t cpu) {
  return {.cpu_milli = cpu, .cards = cards, .share = kWholeCard};
}

TEST(TypicalJobs, AreTheMostFrequentThatCoverTheRest) {
  std::vector<Request> seen(60, Whole(1, 4000));
  seen.insert(seen.end(), 35, Whole(2, 8000));
  seen.insert(seen.end(), 5, Whole(8, 64000));
  // Memory makes no new kind.
  seen[0].memory_mib = 77;
  const std::vector<TypicalJob> typical = TypicalJobs(seen);
  ASSERT_EQ(typical.size(), 2u);
  EXPECT_EQ(typical[0], (TypicalJob{4000, kAnyModel, 1, kWholeCard, 60}));
  EXPECT_EQ(typical[1], (TypicalJob{8000, kAnyModel, 2, kWholeCard, 35}));
  EXPECT_EQ(TypicalJobs(seen, 96).size(), 3u);
  EXPECT_TRUE(TypicalJobs({}).empty());
}

// Three jobs in six ask for 600 of a card, one for no card, one for more CPU than there is, one for
// two whole cards.
std::vector<TypicalJob> Mixed() {
  return {{4000, kAnyModel, 1, 600, 3},
          {1000, kAnyModel, 0, 0, 1},
          {20000, kAnyModel, 1, 100, 1},
          {1000, kAnyModel, 2, kWholeCard, 1}};
}

TEST(Fragmentation, MatchesAnExampleByHand) {
  const Fragmentation fragmentation(Mixed());
  EXPECT_EQ(fragmentation.weight(), 6);
  const Milli shares[] = {500, 1000};
  // 1500 are idle. To the 600s the card with 500 is a fragment: 3 x 500. To the others all is.
  EXPECT_EQ(fragmentation.Of(10000, 0, shares), 3 * 500 + 3 * 1500);
  // Too little CPU for the 600s.
  EXPECT_EQ(fragmentation.Of(3999, 0, shares), 6 * 1500);
  const Milli idle[] = {1000, 1000};
  // Whoever finds room finds all of it usable.
  EXPECT_EQ(fragmentation.Of(10000, 0, idle), 0 + 2000 + 2000 + 0);
  EXPECT_EQ(fragmentation.Of(20000, 0, idle), 2000);
  const Milli full[] = {0, 0};
  EXPECT_EQ(fragmentation.Of(10000, 0, full), 0);
  EXPECT_EQ(fragmentation.Of(10000, 0, {}), 0);
}

TEST(Fragmentation, CountsAPartOfCardsThatOutrunTheCpu) {
  const std::vector<TypicalJob> typical = {{4000, kAnyModel, 1, 500, 2}, {0, kAnyModel, 1, 500, 1}};
  const Fragmentation fragmentation(typical, 250);
  const Milli idle[] = {1000, 1000, 400};
  // 10000 of CPU last the first kind for 1250 of the 2000 that it could use: a quarter of the rest
  // counts. The second needs no CPU. To both the 400 are a fragment.
  EXPECT_EQ(fragmentation.Of(10000, 0, idle), 2 * 750 / 4 + 3 * 400);
  EXPECT_EQ(fragmentation.Of(16000, 0, idle), 3 * 400);
  EXPECT_EQ(Fragmentation(typical).Of(10000, 0, idle), 3 * 400);
}

TEST(Fragmentation, CountsCardsWithTooLittleMemory) {
  // Two jobs in three ask for 200 of a card and 60 of its memory, one for 500 and no memory.
  const std::vector<TypicalJob> typical = {{0, kAnyModel, 1, 200, 2, 60},
                                           {0, kAnyModel, 1, 500, 1}};
  const Milli shares[] = {900, 500, 100};
  const int64_t memory[] = {130, 59, 80};
  // The first kind can use card 0 alone: 1 has too little memory, 2 too little share.
  const Fragmentation fragmentation(typical);
  EXPECT_EQ(fragmentation.Of(0, 0, shares, memory), 2 * 600 + 1 * 100);
  // Two of its jobs use up the memory of card 0, and leave 500 of its share.
  EXPECT_EQ(Fragmentation(typical, 100).Of(0, 0, shares, memory), 2 * 600 + 1 * 100 + 2 * 50);
  EXPECT_EQ(fragmentation.Of(0, 0, shares), 2 * 1500 + 1 * 100) << "no memory is known";
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.AddNode({.card_memory_mib = 100, .cards = 2}).ok());
  const Request taken{.card_memory_mib = 50, .cards = 1, .share = 100};
  EXPECT_EQ(fragmentation.OfNode(snapshot, 0), 0);
  EXPECT_EQ(fragmentation.After(snapshot, 0, taken, 2), 2 * 900);
}

TEST(Fragmentation, OfModelsThatAJobMayNotUseIsAll) {
  const Fragmentation fragmentation(std::vector<TypicalJob>{{0, ModelSet{1} << 3, 1, 500, 1}});
  const Milli shares[] = {700};
  EXPECT_EQ(fragmentation.Of(0, 3, shares), 0);
  EXPECT_EQ(fragmentation.Of(0, 2, shares), 700);
}

TEST(Fragmentation, GrowsByWhereAJobIsPut) {
  const Fragmentation fragmentation(Mixed());
  Snapshot snapshot;
  ASSERT_TRUE(snapshot.AddNode({.cpu_milli = 11000, .cards = 2}).ok());
  const Request half{.cpu_milli = 1000, .cards = 1, .share = 500};
  ASSERT_TRUE(snapshot.Place(snapshot.AddJob(half), {0, 1}).ok());
  FragmentMemory memory(&snapshot, &fragmentation);
  EXPECT_EQ(memory.Of(0), 6000);
  const Request part{.cpu_milli = 1000, .cards = 1, .share = 400};
  // {100, 1000}: 3 x 100 + 3 x 1100. {500, 600}: 3 x 500 + 3 x 1100.
  EXPECT_EQ(memory.Growth(0, part, 1), 3600 - 6000);
  EXPECT_EQ(memory.Growth(0, part, 2), 4800 - 6000);
  ASSERT_TRUE(snapshot.Place(snapshot.AddJob(part), {0, 1}).ok());
  EXPECT_EQ(memory.Of(0), 3600);
}

// As the definition says it, kind by kind and card by card.
int64_t Slowly(const std::vector<TypicalJob>& typical, int64_t cpu, uint32_t model,
               std::span<const Milli> shares) {
  int64_t sum = 0;
  for (const TypicalJob& job : typical) {
    int64_t idle = 0, too_little = 0;
    uint32_t enough = 0;
    for (const Milli share : shares) {
      idle += share;
      too_little += share < job.share ? share : 0;
      enough += share >= job.share;
    }
    const bool fits = job.cards > 0 && (job.models >> model & 1) != 0 && cpu >= job.cpu_milli &&
                      enough >= job.cards;
    sum += job.weight * (fits ? too_little : idle);
  }
  return sum;
}

TEST(Fragmentation, EqualsItsDefinitionOnRandomNodes) {
  Dice dice(7);
  std::vector<TypicalJob> typical;
  for (int i = 0; i < 40; ++i) {
    const uint32_t cards = dice.Below(4);
    typical.push_back({dice.Below(64000), dice.Below(3) > 0 ? kAnyModel : ModelSet{dice.Below(8)},
                       cards, cards == 0 ? 0 : static_cast<Milli>(1 + dice.Below(1000)),
                       1 + dice.Below(50)});
  }
  const Fragmentation fragmentation(typical);
  for (int i = 0; i < 20000; ++i) {
    std::vector<Milli> shares(dice.Below(9));
    for (Milli& share : shares) share = static_cast<Milli>(dice.Below(5) * 250);
    const int64_t cpu = dice.Below(64000);
    const uint32_t model = dice.Below(4);
    ASSERT_EQ(fragmentation.Of(cpu, model, shares), Slowly(typical, cpu, model, shares));
  }
}

}  // namespace
}  // namespace flexai::schedule
