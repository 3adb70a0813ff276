// Why a gang waits, for people: one sentence with numbers, a reason per kind of card, and what
// would make it run. Codes of cards and nodes are those that users of HAMi know
// (pkg/device/common).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "flexai/schedule/session.h"

namespace flexai::schedule {

/// How things are called by those who read the sentence.
struct Names {
  std::function<std::string(NodeId)> node;
  std::function<std::string(uint32_t)> model;
  std::function<std::string(QueueId)> queue;
  std::function<std::string(GangId)> gang;
};

struct Explanation {
  std::string code;                // "CardInsufficientMemory"
  std::string sentence;            // why
  std::string remedy;              // what would make it run
  std::vector<std::string> cards;  // one line for each model
};

/// Of a gang that waits at the end of a round.
Explanation Explain(const Session& session, GangId gang, const Names& names);

}  // namespace flexai::schedule
