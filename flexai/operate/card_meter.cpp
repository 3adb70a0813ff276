#include "flexai/operate/card_meter.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flexai/operate/json_text.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

// Far beyond what thousands of processes need.
constexpr size_t kLongestLine = 8 << 20;

std::string Line(const char* name, json all) {
  return JsonText(json{{name, std::move(all)}}) + "\n";
}

bool IsUse(const json& j) {
  return j.is_array() && j.size() == 3 && j[0].is_string() && j[1].is_number() && j[2].is_number();
}

bool IsTime(const json& j) {
  return j.is_array() && j.size() == 4 && j[0].is_string() && j[1].is_number() &&
         j[2].is_boolean() && j[3].is_array();
}

bool IsWatch(const json& j) {
  return j.is_array() && j.size() == 2 && j[0].is_string() && j[1].is_string();
}

bool IsProcess(const json& j) {
  return j.is_array() && j.size() == 2 && j[0].is_number() && j[1].is_number();
}

device::CardTime ReadTime(const json& j) {
  device::CardTime time = {j[0].get<std::string>(), j[1].get<Nanos>(), j[2].get<bool>(), {}};
  for (const json& one : j[3]) {
    if (IsProcess(one)) time.processes.push_back({one[0].get<int64_t>(), one[1].get<Nanos>()});
  }
  return time;
}

}  // namespace

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

CardMeter::News CardMeter::Take() {
  News news;
  char bytes[65536];
  const ssize_t got = read(answer_fd_, bytes, sizeof(bytes));
  if (got <= 0) {  // the helper is gone: no more questions
    for (auto& [uuid, refused] : watches_) refused = "the helper that watched it has ended";
    close(answer_fd_);
    answer_fd_ = -1;
    close(ask_fd_);
    ask_fd_ = -1;
    return news;
  }
  text_.append(bytes, static_cast<size_t>(got));
  size_t begin = 0;
  for (size_t end; (end = text_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    TakeLine(std::string_view(text_).substr(begin, end - begin), &news);
  }
  text_.erase(0, begin);
  if (text_.size() > kLongestLine) text_.clear();
  return news;
}

void CardMeter::TakeLine(std::string_view line, News* news) {
  const json all = ParseJson(line);
  const auto list = [&](const char* name) -> const json* {
    const auto found = all.is_object() ? all.find(name) : all.end();
    return found != all.end() && found->is_array() ? &*found : nullptr;
  };
  if (const json* const times = list("times")) {
    for (const json& one : *times) {
      if (IsTime(one)) news->times.push_back(ReadTime(one));
    }
    return;
  }
  if (const json* const watched = list("watched")) {
    watches_.clear();
    for (const json& one : *watched) {
      if (IsWatch(one)) watches_[one[0].get<std::string>()] = one[1].get<std::string>();
    }
    return;
  }
  waits_ = false;  // whatever it was, another answer will not come
  const json* const uses = list("uses");
  if (!uses) return;
  news->answered = true;
  news->uses.clear();
  for (const json& one : *uses) {
    if (!IsUse(one)) continue;
    news->uses.push_back(
        {one[0].get<std::string>(), one[1].get<int64_t>(), one[2].get<uint64_t>()});
  }
}

std::string WriteUses(const std::vector<device::ProcessUse>& uses) {
  json all = json::array();
  for (const device::ProcessUse& use : uses) {
    all.push_back(json::array({use.card_uuid, use.pid, use.bytes}));
  }
  return Line("uses", std::move(all));
}

std::string WriteTimes(const std::vector<device::CardTime>& times) {
  json all = json::array();
  for (const device::CardTime& time : times) {
    json processes = json::array();
    for (const device::ProcessTime& one : time.processes) {
      processes.push_back(json::array({one.pid, one.total}));
    }
    all.push_back(json::array({time.card_uuid, time.horizon, time.lost, std::move(processes)}));
  }
  return Line("times", std::move(all));
}

std::string WriteWatches(const std::vector<device::CardWatch>& watches) {
  json all = json::array();
  for (const device::CardWatch& watch : watches) {
    all.push_back(json::array({watch.card_uuid, watch.refused}));
  }
  return Line("watched", std::move(all));
}

bool Changed(const std::vector<device::CardTime>& before,
             const std::vector<device::CardTime>& after) {
  return !std::equal(before.begin(), before.end(), after.begin(), after.end(),
                     [](const device::CardTime& a, const device::CardTime& b) {
                       return a.card_uuid == b.card_uuid && a.lost == b.lost &&
                              a.processes == b.processes;
                     });
}

}  // namespace flexai::operate
