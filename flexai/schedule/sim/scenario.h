// Scenarios: a small cluster, jobs, what happens, and what should come of it, as text that people
// write. The text comes from the caller. Format: docs/formats/scenario.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flexai/schedule/session.h"
#include "flexai/schedule/sim/openb.h"
#include "flexai/schedule/sim/text.h"

namespace flexai::schedule::sim {

struct ScenarioNode {
  std::string name;
  Node node;
};

struct ScenarioQueue {
  std::string name;
  Queue queue;
};

struct ScenarioJob {
  std::string name;
  Gang gang;              // arrived_s is when it comes
  int64_t runs_s = 0;     // 0: until it is told to leave
  int64_t started_s = 0;  // of a job that runs when the story begins
  std::vector<Placement> on;
};

struct ScenarioEvent {
  enum class What : uint8_t { kFailNode, kFailCard, kHeal, kDrain, kLeave, kIdle, kBusy, kQueue };
  int64_t at_s = 0;
  What what = What::kLeave;
  uint32_t index = 0;  // of the node, job or queue
  uint32_t card = 0;   // of kFailCard
  Queue queue;         // of kQueue: what it is from then on
};

/// What should be seen; what is not set is not looked at.
struct Expectation {
  size_t line = 0;
  int64_t at_s = -1;  // -1: at the end
  std::optional<uint32_t> job, queue;
  std::string state;               // "RUNNING", "WAITING", "DONE"
  std::vector<std::string> nodes;  // of the tasks that are placed, each once
  std::optional<CardSet> cards;    // of the first task
  std::string host;                // of the first task: where its CPU is, if its cards are remote
  std::optional<int64_t> tasks;    // placed
  std::optional<int64_t> share;    // of the first task, 1/1000 of a card
  std::optional<int64_t> started_s, ended_s, evictions, moves, suspensions;
  std::optional<int64_t> used, due;  // of the queue, milli-cards
  std::string together;              // "rack", "block", "node": all tasks in one
  std::string code;
  std::vector<std::string> says;  // parts of the sentence, the remedy or a line of cards
};

struct Scenario {
  std::string title;
  std::string policy = "flexai";
  Options options;
  int64_t half_life_s = 0;
  int64_t k_permille = 0;
  int64_t every_s = 0;  // rounds besides those at which something happens
  int64_t until_s = 0;
  std::vector<std::string> models;
  std::vector<Board> boards = {Board()};  // by the nodes' BoardId
  std::vector<std::string> loads = {""};  // the first stands for none
  Interference interference;
  std::vector<ScenarioNode> nodes;
  std::vector<ScenarioQueue> queues;  // queue i is QueueId i + 1
  std::vector<ScenarioJob> jobs;
  std::vector<ScenarioEvent> events;
  std::vector<Expectation> expectations;
  std::vector<BadRow> bad;  // blocks that cannot be used; they are left out
};

/// Errors: kInvalidArgument (the text is no such text: nothing can be used; the message begins with
/// the line).
Result<Scenario> ReadScenario(std::string_view text);

}  // namespace flexai::schedule::sim
