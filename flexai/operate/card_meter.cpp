#include "flexai/operate/card_meter.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace flexai::operate {

using nlohmann::json;

CardMeter::~CardMeter() {
  for (const int fd : {ask_fd_, answer_fd_}) {
    if (fd >= 0) close(fd);
  }
}

bool CardMeter::Ask() {
  if (ask_fd_ < 0 || waits_) return false;
  waits_ = write(ask_fd_, "\n", 1) == 1;
  return waits_;
}

bool CardMeter::Take(std::vector<device::ProcessUse>* uses) {
  char bytes[4096];
  const ssize_t got = read(answer_fd_, bytes, sizeof(bytes));
  if (got <= 0) {  // the helper is gone: no more questions
    close(answer_fd_);
    answer_fd_ = -1;
    close(ask_fd_);
    ask_fd_ = -1;
    return false;
  }
  text_.append(bytes, static_cast<size_t>(got));
  const size_t end = text_.find('\n');
  if (end == std::string::npos) return false;
  const json all = json::parse(text_.substr(0, end), nullptr, /*allow_exceptions=*/false);
  text_.clear();
  waits_ = false;
  uses->clear();
  if (!all.is_array()) return false;
  for (const json& one : all) {
    if (!one.is_array() || one.size() != 3 || !one[0].is_string() || !one[1].is_number() ||
        !one[2].is_number()) {
      continue;
    }
    uses->push_back({one[0].get<std::string>(), one[1].get<int64_t>(), one[2].get<uint64_t>()});
  }
  return true;
}

std::string WriteUses(const std::vector<device::ProcessUse>& uses) {
  json all = json::array();
  for (const device::ProcessUse& use : uses) {
    all.push_back(json::array({use.card_uuid, use.pid, use.bytes}));
  }
  return all.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace flexai::operate
