#include "flexai/operate/context_store.h"

#include <sys/types.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "flexai/base/log.h"
#include "flexai/base/status.h"
#include "flexai/operate/json_text.h"
#include "flexai/operate/kept_file.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr off_t kLongestFile = 64 << 10;
// No driver takes as much: a figure beyond would keep programs from cards without reason.
constexpr model::Bytes kMostBelieved = 4 * model::kGiB;

std::string KeyOf(const model::Card& card) { return card.model + "\n" + card.driver; }

}  // namespace

ContextStore::ContextStore(const std::string& folder) : folder_(folder) {
  if (!folder_.empty()) Read();
}

void ContextStore::Read() {
  const json all = ParseJson(ReadKept(folder_ + "/contexts.json", kLongestFile));
  if (!all.is_object() || all.value("version", json()) != kVersion) return;
  const auto list = all.find("contexts");
  if (list == all.end() || !list->is_array()) return;
  for (const json& one : *list) {
    const bool whole = one.is_array() && one.size() == 3 && one[0].is_string() &&
                       one[1].is_string() && one[2].is_number_unsigned();
    if (!whole) continue;
    seen_[one[0].get<std::string>() + "\n" + one[1].get<std::string>()] = one[2].get<uint64_t>();
  }
}

model::Bytes ContextStore::Find(const model::Card& card) const {
  const auto found = seen_.find(KeyOf(card));
  if (found == seen_.end()) return 0;
  return found->second <= std::min(kMostBelieved, card.memory_bytes / 4) ? found->second : 0;
}

void ContextStore::Keep(const model::Card& card, model::Bytes bytes) {
  seen_[KeyOf(card)] = bytes;
  if (folder_.empty()) return;
  const Status written = Write();
  if (written.ok() || std::exchange(told_, true)) return;
  FLEXAI_LOG("daemon", kInfo, "what contexts cost is not kept: %s", written.ToString().c_str());
}

Status ContextStore::Write() const {
  json list = json::array();
  for (const auto& [key, bytes] : seen_) {
    const size_t end = key.find('\n');
    list.push_back(json::array({key.substr(0, end), key.substr(end + 1), bytes}));
  }
  const json all = {{"version", kVersion}, {"contexts", std::move(list)}};
  const std::string text = JsonText(all, 2) + "\n";
  return WriteKept(folder_, "contexts.json", text);
}

}  // namespace flexai::operate
