#include "flexai/operate/lever_probes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "flexai/base/log.h"
#include "flexai/operate/json_text.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

// A context alone takes seconds where nobody keeps the driver awake.
constexpr Nanos kLongest = 20 * kSecond;
constexpr size_t kMostText = 1 << 16;

std::string TimeText(int64_t at) {
  char text[32] = {};
  const time_t time = at;
  tm parts = {};
  gmtime_r(&time, &parts);
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

std::string WriteProbe(const device::ProbeResult& result) {
  return JsonText(ToJson(result)) + "\n";
}

LeverProbes::LeverProbes(const std::vector<model::Card>& cards, StartProbeFn start, LeverBook book)
    : cards_(cards), start_(std::move(start)), book_(std::move(book)), known_(cards.size()) {}

LeverProbes::~LeverProbes() {
  if (process_.answer_fd >= 0) close(process_.answer_fd);
  if (process_.pid > 0) kill(process_.pid, SIGKILL);
}

bool LeverProbes::HasLevers(size_t card) const {
  return start_ && !cards_[card].driver_identity.empty();
}

void LeverProbes::Begin(Nanos now) {
  for (size_t card = 0; card < cards_.size(); ++card) {
    if (!HasLevers(card)) continue;
    if (const auto remembered = book_.Find(cards_[card])) {
      known_[card] = *remembered;
    } else {
      queue_.push_back(card);
    }
  }
  StartNext(now);
}

size_t LeverProbes::Again(Nanos now) {
  size_t count = 0;
  for (size_t card = 0; card < cards_.size(); ++card) {
    if (!HasLevers(card)) continue;
    ++count;
    const bool runs = process_.pid > 0 && card_ == card;
    if (!runs && std::find(queue_.begin(), queue_.end(), card) == queue_.end()) {
      queue_.push_back(card);
    }
  }
  StartNext(now);
  return count;
}

void LeverProbes::StartNext(Nanos now) {
  while (process_.pid < 0 && !queue_.empty()) {
    card_ = queue_.front();
    queue_.pop_front();
    const Result<ProbeProcess> started = start_(cards_[card_]);
    if (!started.ok()) {
      Finish({std::string(started.status().message()), {}}, /*remember=*/false);
      continue;
    }
    process_ = *started;
    started_ = true;
    deadline_ = now + kLongest;
    text_.clear();
    fcntl(process_.answer_fd, F_SETFL, O_NONBLOCK);
  }
}

// What a probe could not tell leaves things as they were.
void LeverProbes::Finish(const device::ProbeResult& result, bool remember) {
  if (process_.pid > 0) {
    close(process_.answer_fd);
    kill(process_.pid, SIGKILL);
    ended_.push_back(process_.pid);
    process_ = {};
  }
  const model::Card& card = cards_[card_];
  known_[card_] = {result, static_cast<int64_t>(time(nullptr))};
  for (const device::LeverFinding& finding : result.levers) {
    for (const device::LeverName& known : device::kLeverNames) {
      if (known.lever != finding.lever || finding.holds) continue;
      FLEXAI_LOG("levers", kWarn, "card %s: %.*s does not hold with driver %s and is not used: %s",
                 card.id.c_str(), static_cast<int>(known.name.size()), known.name.data(),
                 card.driver.c_str(), finding.found.c_str());
    }
  }
  if (!result.not_probed.empty()) {
    FLEXAI_LOG("levers", kWarn, "card %s: its levers were not tried: %s", card.id.c_str(),
               result.not_probed.c_str());
  }
  const Status kept = remember ? book_.Keep(card, known_[card_]) : Status();
  if (!kept.ok()) FLEXAI_LOG("levers", kInfo, "%s", kept.ToString().c_str());
}

bool LeverProbes::OnAnswer(Nanos now) {
  char bytes[4096];
  ssize_t got = 0;
  while ((got = read(process_.answer_fd, bytes, sizeof(bytes))) > 0) {
    text_.append(bytes, static_cast<size_t>(got));
    if (text_.size() > kMostText) break;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  const json answer = ParseJson(text_);
  Result<device::ProbeResult> result = ProbeFromJson(answer);
  if (result.ok()) {
    Finish(*result, /*remember=*/result->not_probed.empty());
  } else {
    // Once a boot is enough for what brings a driver down.
    Finish({"the driver brought the probe down", {}}, /*remember=*/true);
  }
  StartNext(now);
  return true;
}

bool LeverProbes::OnTime(Nanos now) {
  std::erase_if(ended_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  if (process_.pid < 0 || now < deadline_) return false;
  Finish({"the driver did not answer the probe within " + std::to_string(kLongest / kSecond) + " s",
          {}},
         /*remember=*/true);
  StartNext(now);
  return true;
}

json LeverProbes::Describe(size_t card) const {
  if (!HasLevers(card)) return json();
  const LeverRecord& record = known_[card];
  const bool waits = (process_.pid > 0 && card_ == card) ||
                     std::find(queue_.begin(), queue_.end(), card) != queue_.end();
  json described = ToJson(record.result);
  const bool probed = record.at != 0 && record.result.not_probed.empty();
  described["state"] = waits ? "probing" : probed ? "probed" : "not probed";
  described["probed_at"] = record.at != 0 ? json(TimeText(record.at)) : json();
  described["driver"] = cards_[card].driver;
  return described;
}

}  // namespace flexai::operate
