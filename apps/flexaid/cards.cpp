#include "apps/flexaid/cards.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/flexaid/inventories.h"
#include "flexai/base/clock.h"
#include "flexai/base/log.h"
#include "flexai/operate/json_text.h"

namespace flexai {
namespace {

using nlohmann::json;

constexpr Nanos kProbeTimeout = 30 * kSecond;

json ToJson(const model::Unshared& one) {
  return {{"uuid", one.uuid}, {"why", one.why}, {"cure", one.cure}};
}

json ToJson(const model::Card& card) {
  return {{"id", card.id},
          {"backend", card.backend},
          {"kind", card.kind},
          {"vendor", card.vendor},
          {"model", card.model},
          {"driver", card.driver},
          {"tried_driver", card.tried_driver},
          {"joins", card.joins},
          {"uuid", card.uuid},
          {"memory", card.memory_bytes},
          {"units", card.compute_units},
          {"driver_identity", card.driver_identity},
          {"libraries", card.libraries}};
}

model::Card FromJson(const json& j) {
  model::Card card;
  card.id = j.value("id", "");
  card.backend = j.value("backend", "");
  card.kind = j.value("kind", "");
  card.vendor = j.value("vendor", "");
  card.model = j.value("model", "");
  card.driver = j.value("driver", "");
  card.tried_driver = j.value("tried_driver", "");
  card.joins = j.value("joins", false);
  card.uuid = j.value("uuid", "");
  card.memory_bytes = j.value("memory", uint64_t{0});
  card.compute_units = j.value("units", 0);
  card.driver_identity = j.value("driver_identity", "");
  card.libraries = j.value("libraries", std::vector<std::string>());
  return card;
}

// A card that several backends show is that of the first, whose lever is the better one; who uses
// it is known by the drivers of all.
void Add(const model::Card& card, std::vector<model::Card>* all) {
  const auto known = std::find_if(all->begin(), all->end(), [&card](const model::Card& each) {
    return !card.uuid.empty() && each.uuid == card.uuid && each.backend != card.backend;
  });
  if (known != all->end()) {
    known->libraries.insert(known->libraries.end(), card.libraries.begin(), card.libraries.end());
    return;
  }
  all->push_back(card);
  all->back().id = std::to_string(all->size() - 1);
}

model::Unshared ReadUnshared(const json& j) {
  return {j.value("uuid", ""), j.value("why", ""), j.value("cure", "")};
}

// What the child prints, up to the time limit.
std::string ReadToEnd(int fd) {
  std::string text;
  const Nanos deadline = MonotonicNow() + kProbeTimeout;
  for (;;) {
    const Nanos left = deadline - MonotonicNow();
    pollfd wait = {fd, POLLIN, 0};
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left / kMillisecond) + 1) == 0) return "";
    char bytes[4096];
    const ssize_t got = read(fd, bytes, sizeof(bytes));
    if (got <= 0) return text;
    text.append(bytes, static_cast<size_t>(got));
  }
}

}  // namespace

int PrintCards() {
  std::vector<model::Card> all;
  std::vector<model::Unshared> unshared;
  for (const auto& inventory : MakeInventories()) {
    const auto cards = inventory->List();
    std::vector<model::Unshared> left_out = inventory->LeftOut();
    if (!cards.ok()) {
      const Status& why = cards.status();
      left_out.push_back({"", std::string(why.message()), std::string(why.hint())});
    }
    for (const model::Unshared& one : left_out) {
      Notice("%s; %s", one.why.c_str(), one.cure.c_str());
      unshared.push_back(one);
    }
    for (const model::Card& card : cards.ok() ? *cards : std::vector<model::Card>()) {
      // What one backend may not share, none does.
      const bool refused = std::any_of(unshared.begin(), unshared.end(), [&](const auto& one) {
        return !one.uuid.empty() && one.uuid == card.uuid;
      });
      if (!refused) Add(card, &all);
    }
  }
  json found = {{"cards", json::array()}, {"unshared", json::array()}};
  for (const model::Card& card : all) found["cards"].push_back(ToJson(card));
  for (const model::Unshared& one : unshared) found["unshared"].push_back(ToJson(one));
  const std::string text = operate::JsonText(found);
  fputs(text.c_str(), stdout);
  fflush(stdout);
  // Past the destructors of drivers: the answer is out, and some of them hang or crash.
  _exit(0);
}

Result<FoundCards> ProbeCardsInChild() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(Code::kInternal, "cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(Code::kInternal, "cannot start the probe of the cards");
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    // The cards as they are, not as a slice would show them.
    unsetenv("FLEXAI_SLICE");
    execl("/proc/self/exe", "flexaid", "--probe-cards", nullptr);
    _exit(127);
  }
  close(ends[1]);
  const json answer = operate::ParseJson(ReadToEnd(ends[0]));
  close(ends[0]);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  FoundCards found;
  const auto list = [&](const char* name) {
    return answer.is_object() ? answer.value(name, json::array()) : json::array();
  };
  if (!answer.is_object()) {
    found.unshared.push_back({"",
                              "the probe of the cards failed (status " + std::to_string(status) +
                                  "): a driver crashed or hung",
                              "run flexaid --probe-cards to see it, mend the driver, then start "
                              "flexaid again"});
    Notice("%s; %s", found.unshared[0].why.c_str(), found.unshared[0].cure.c_str());
  }
  for (const json& card : list("cards")) found.cards.push_back(FromJson(card));
  for (const json& one : list("unshared")) found.unshared.push_back(ReadUnshared(one));
  return found;
}

}  // namespace flexai
