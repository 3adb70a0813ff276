// What drivers say of processes, told by a helper process that may load them. A question is one
// line. The helper writes lines of JSON:
//   {"uses": [[card uuid, pid, bytes], ...]}                                    answers a question
//   {"times": [[card uuid, horizon, lost, [[pid, ns], ...]], ...]}  unasked, as often as it changes
//   {"watched": [[card uuid, why not], ...]}                        the same; "" = it is
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/device/meter.h"

namespace flexai::operate {

class CardMeter {
 public:
  struct News {
    bool answered = false;
    std::vector<device::ProcessUse> uses;  // the answer
    std::vector<device::CardTime> times;   // oldest first; a card may be there several times
  };

  /// Takes both ends of the helper; -1 = there is none.
  CardMeter(int ask_fd, int answer_fd) : ask_fd_(ask_fd), answer_fd_(answer_fd) {}
  ~CardMeter();
  CardMeter(const CardMeter&) = delete;
  CardMeter& operator=(const CardMeter&) = delete;

  int answer_fd() const { return answer_fd_; }
  /// Whether there is a helper to ask.
  bool alive() const { return ask_fd_ >= 0; }
  bool waits() const { return waits_; }
  /// Asks, unless an answer is outstanding. False if nothing was asked.
  bool Ask();
  /// What has come, without waiting for more: none, one or several whole lines.
  News Take();
  /// By card's uuid why its use is not watched; empty = it is. A card of which nothing is known is
  /// missing.
  const std::map<std::string, std::string>& watches() const { return watches_; }

 private:
  void TakeLine(std::string_view line, News* news);

  int ask_fd_;
  int answer_fd_;
  bool waits_ = false;
  std::string text_;
  std::map<std::string, std::string> watches_;
};

/// The helper's lines.
std::string WriteUses(const std::vector<device::ProcessUse>& uses);
std::string WriteTimes(const std::vector<device::CardTime>& times);
std::string WriteWatches(const std::vector<device::CardWatch>& watches);

/// Whether anything but the horizon differs.
bool Changed(const std::vector<device::CardTime>& before,
             const std::vector<device::CardTime>& after);

}  // namespace flexai::operate
