#include "flexai/base/prompt.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace flexai {

void AskForPromptWakeups() {
  sched_param lowest = {};
  lowest.sched_priority = sched_get_priority_min(SCHED_RR);
  // A child that it starts shall be an ordinary process.
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0) return;
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline, period;
  } attributes = {48, 0, 0, 0, 0, 100'000, 0, 0};
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace flexai
