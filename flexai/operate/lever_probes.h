// Which levers hold on each card: remembered, or found by a process that tries them, one card at a
// time, and is ended when it takes too long. Nobody waits for it: until something is known, every
// lever counts as one that holds.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flexai/base/clock.h"
#include "flexai/base/status.h"
#include "flexai/model/card.h"
#include "flexai/operate/lever_book.h"

namespace flexai::operate {

/// A process that tries a card's levers, writes what it found, and ends.
struct ProbeProcess {
  pid_t pid = -1;
  int answer_fd = -1;
};
using StartProbeFn = std::function<Result<ProbeProcess>(const model::Card&)>;

/// What that process writes.
std::string WriteProbe(const device::ProbeResult& result);

class LeverProbes {
 public:
  /// `start` may be empty: then nothing is tried. `cards` outlives this.
  LeverProbes(const std::vector<model::Card>& cards, StartProbeFn start, LeverBook book);
  ~LeverProbes();
  LeverProbes(const LeverProbes&) = delete;
  LeverProbes& operator=(const LeverProbes&) = delete;

  /// Looks what is remembered; the other cards are tried.
  void Begin(Nanos now);
  /// All cards that have levers are tried anew; how many.
  size_t Again(Nanos now);
  /// Where the process that runs answers; -1 = none runs.
  int answer_fd() const { return process_.answer_fd; }
  /// Whether that is another one than at the last call.
  bool TakeStarted() { return std::exchange(started_, false); }
  /// Takes what has come, without waiting for more, and starts the next when one has ended. Whether
  /// something was found.
  bool OnAnswer(Nanos now);
  /// Once a second or so: ends a process that takes too long; as above.
  bool OnTime(Nanos now);

  /// Levers of the card that were found not to hold.
  uint32_t dropped(size_t card) const { return Dropped(known_[card].result); }
  /// For reports: null where the card has no levers to try.
  nlohmann::json Describe(size_t card) const;

 private:
  bool HasLevers(size_t card) const;
  void StartNext(Nanos now);
  void Finish(const device::ProbeResult& result, bool remember);

  const std::vector<model::Card>& cards_;
  StartProbeFn start_;
  LeverBook book_;
  std::vector<LeverRecord> known_;  // per card
  std::deque<size_t> queue_;        // cards to be tried
  size_t card_ = 0;                 // that is being tried
  ProbeProcess process_;
  bool started_ = false;
  Nanos deadline_ = 0;
  std::string text_;
  std::vector<pid_t> ended_;  // not waited for yet: one inside a driver may end late
};

}  // namespace flexai::operate
