#include "apps/flexaid/probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apps/flexaid/inventories.h"

namespace flexai {

Result<operate::ProbeProcess> StartProbe(const model::Card& card) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(Code::kInternal, "cannot make a pipe");
  const pid_t daemon = getpid();
  const pid_t child = fork();
  if (child == 0) {
    // It never outlives the daemon, which would have ended it in time.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != daemon) _exit(127);
    dup2(ends[1], STDOUT_FILENO);
    unsetenv("FLEXAI_SLICE");
    setenv("FLEXAI_LOG", "error", 0);  // what is found is told once, by the daemon
    execl("/proc/self/exe", "flexaid", "--probe-levers", card.backend.c_str(), card.uuid.c_str(),
          nullptr);
    _exit(127);
  }
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return ErrnoStatus(Code::kInternal, "cannot start the probe of the levers");
  }
  return operate::ProbeProcess{child, ends[0]};
}

int ProbeLevers(const std::string& backend, const std::string& uuid) {
  prctl(PR_SET_NAME, "flexaid-probe", 0, 0, 0);
  device::ProbeResult result;
  if (const auto prober = MakeProber(backend)) {
    result = prober->Probe(uuid);
  } else {
    result.not_probed = "this build knows no levers of such a card";
  }
  fputs(operate::WriteProbe(result).c_str(), stdout);
  fflush(stdout);
  _exit(0);  // past the destructors of drivers
}

}  // namespace flexai
