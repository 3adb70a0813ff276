// What drivers say that each process holds, asked of a helper process that may load them. A
// question is one line, an answer one line of JSON: [[card uuid, pid, bytes], ...].
#pragma once

#include <string>
#include <vector>

#include "flexai/device/meter.h"

namespace flexai::operate {

class CardMeter {
 public:
  /// Takes both ends of the helper; -1 = there is none.
  CardMeter(int ask_fd, int answer_fd) : ask_fd_(ask_fd), answer_fd_(answer_fd) {}
  ~CardMeter();
  CardMeter(const CardMeter&) = delete;
  CardMeter& operator=(const CardMeter&) = delete;

  int answer_fd() const { return answer_fd_; }
  bool waits() const { return waits_; }
  /// Asks, unless an answer is outstanding. False if nothing was asked.
  bool Ask();
  /// Reads what has come, without waiting. True once an answer is whole; it is in `uses`.
  bool Take(std::vector<device::ProcessUse>* uses);

 private:
  int ask_fd_;
  int answer_fd_;
  bool waits_ = false;
  std::string text_;
};

/// The line of an answer.
std::string WriteUses(const std::vector<device::ProcessUse>& uses);

}  // namespace flexai::operate
