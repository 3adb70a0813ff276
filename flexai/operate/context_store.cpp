#include "flexai/operate/context_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "flexai/base/log.h"
#include "flexai/base/status.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr off_t kLongestFile = 64 << 10;
// No driver takes as much: a figure beyond would keep programs from cards without reason.
constexpr model::Bytes kMostBelieved = 4 * model::kGiB;

std::string KeyOf(const model::Card& card) { return card.model + "\n" + card.driver; }

// Its whole text; empty where it is not a file that only we, or root, may write.
std::string ReadOwn(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return "";
  struct stat about = {};
  std::string text;
  if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= kLongestFile &&
      (about.st_uid == geteuid() || about.st_uid == 0) && (about.st_mode & 022) == 0) {
    text.resize(static_cast<size_t>(about.st_size));
    const ssize_t got = read(fd, text.data(), text.size());
    text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  }
  close(fd);
  return text;
}

// The folder and the one that holds it: ~/.local/state may not be there yet.
void MakeFolder(const std::string& folder) {
  for (size_t at = 1; at != std::string::npos;) {
    at = folder.find('/', at);
    mkdir(folder.substr(0, at).c_str(), 0755);
    if (at != std::string::npos) ++at;
  }
}

}  // namespace

ContextStore::ContextStore(const std::string& folder) : folder_(folder) {
  if (!folder_.empty()) Read();
}

void ContextStore::Read() {
  const json all =
      json::parse(ReadOwn(folder_ + "/contexts.json"), nullptr, /*allow_exceptions=*/false);
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
  const std::string text = all.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  MakeFolder(folder_);
  // Whole or not at all, whoever else writes it: another daemon of this user knows as much.
  const std::string path = folder_ + "/contexts.json";
  const std::string fresh = path + "." + std::to_string(getpid());
  unlink(fresh.c_str());
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(Code::kUnavailable, "cannot write " + fresh);
  const bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (whole && rename(fresh.c_str(), path.c_str()) == 0) return Status();
  const Status failed = ErrnoStatus(Code::kUnavailable, "cannot write " + path);
  unlink(fresh.c_str());
  return failed;
}

}  // namespace flexai::operate
