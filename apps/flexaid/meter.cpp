#include "apps/flexaid/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "apps/flexaid/inventories.h"
#include "flexai/operate/card_meter.h"

namespace flexai {

void StartMeter(const std::vector<model::Card>& cards, int* ask_fd, int* answer_fd) {
  const bool needed = std::any_of(cards.begin(), cards.end(),
                                  [](const model::Card& card) { return card.kind != "cpu"; });
  int ask[2], answer[2];
  if (!needed || pipe2(ask, O_CLOEXEC) != 0) return;
  if (pipe2(answer, O_CLOEXEC) != 0) {
    close(ask[0]);
    close(ask[1]);
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    dup2(ask[0], STDIN_FILENO);
    dup2(answer[1], STDOUT_FILENO);
    unsetenv("FLEXAI_SLICE");  // the cards as they are
    execl("/proc/self/exe", "flexaid", "--meter-cards", nullptr);
    _exit(127);
  }
  close(ask[0]);
  close(answer[1]);
  if (child < 0) {
    close(ask[1]);
    close(answer[0]);
    return;
  }
  *ask_fd = ask[1];
  *answer_fd = answer[0];
}

namespace {

using Meters = std::vector<std::unique_ptr<device::Meter>>;

// While a card's use can be watched, it is looked at this often.
constexpr int kWatchMilliseconds = 10;

bool Tell(const std::string& line) {
  return write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

bool AnswerUses(const Meters& meters) {
  std::vector<device::ProcessUse> all;
  for (const auto& meter : meters) {
    const auto uses = meter->Read();
    all.insert(all.end(), uses.begin(), uses.end());
  }
  return Tell(operate::WriteUses(all));
}

std::vector<device::CardTime> ReadTimes(const Meters& meters) {
  std::vector<device::CardTime> all;
  for (const auto& meter : meters) {
    auto times = meter->ReadTimes();
    std::move(times.begin(), times.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<device::CardWatch> ReadWatches(const Meters& meters) {
  std::vector<device::CardWatch> all;
  for (const auto& meter : meters) {
    auto watches = meter->Watches();
    std::move(watches.begin(), watches.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

int MeterCards() {
  prctl(PR_SET_NAME, "flexaid-meter", 0, 0, 0);
  const Meters meters = MakeMeters();
  std::vector<device::CardTime> told;
  std::vector<device::CardWatch> told_watches;
  bool asked = false;
  bool alive = !meters.empty();
  while (alive) {
    pollfd question = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&question, 1, asked && !told.empty() ? kWatchMilliseconds : -1);
    if (ready < 0 && errno != EINTR) break;
    if (ready > 0) {
      char text[64];
      alive = read(STDIN_FILENO, text, sizeof(text)) > 0 && AnswerUses(meters);
      asked = true;
    }
    if (!alive || !asked) continue;
    auto times = ReadTimes(meters);
    if (operate::Changed(told, times)) alive = Tell(operate::WriteTimes(times));
    told = std::move(times);
    auto watches = ReadWatches(meters);
    if (alive && watches != told_watches) alive = Tell(operate::WriteWatches(watches));
    told_watches = std::move(watches);
  }
  _exit(0);  // past the destructors of drivers
}

}  // namespace flexai
