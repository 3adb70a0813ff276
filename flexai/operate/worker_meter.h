// Watches the worker threads of one process from outside, through /proc: is one on a core, and how
// much time did they get? So the daemon need not believe what the process says about itself.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "flexai/base/clock.h"

namespace flexai::operate {

class WorkerMeter {
 public:
  explicit WorkerMeter(pid_t pid) : pid_(pid) {}
  WorkerMeter(const WorkerMeter&) = delete;
  WorkerMeter& operator=(const WorkerMeter&) = delete;
  ~WorkerMeter();

  /// Looks again for threads named `name`; keeps those that are known.
  void Find(const char* name);

  /// Whether a worker runs or wants to, or has run since the last call.
  bool Active();

  /// Time on cores of all workers so far; exact for threads that sleep, else up to one kernel tick
  /// behind. Units: ns, summed over threads.
  Nanos CpuTime();

  /// Time in which workers had work but no core. Units: ns, summed over threads.
  Nanos Waited();

  /// Time on cores of all threads of the process, workers or not; 0 once it has ended. Units: ns.
  Nanos ProcessTime() const;

  size_t workers() const { return workers_.size(); }

 private:
  struct Worker {
    pid_t tid;
    int stat_fd;
    int schedstat_fd;
    Nanos seen;
  };
  static void Close(const Worker& worker);

  pid_t pid_;
  std::vector<Worker> workers_;
};

}  // namespace flexai::operate
