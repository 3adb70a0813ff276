#include "apps/flexaid/meter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

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

int MeterCards() {
  prctl(PR_SET_NAME, "flexaid-meter", 0, 0, 0);
  const auto meters = MakeMeters();
  char question[64];
  while (!meters.empty() && read(STDIN_FILENO, question, sizeof(question)) > 0) {
    std::vector<device::ProcessUse> all;
    for (const auto& meter : meters) {
      const auto uses = meter->Read();
      all.insert(all.end(), uses.begin(), uses.end());
    }
    const std::string line = operate::WriteUses(all);
    if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) break;
  }
  _exit(0);  // past the destructors of drivers
}

}  // namespace flexai
