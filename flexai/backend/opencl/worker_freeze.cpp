#include "flexai/backend/opencl/worker_freeze.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "flexai/base/log.h"
#include "flexai/slice/region.h"

namespace flexai::backend::opencl {
namespace {

// Far from the numbers that C libraries and language runtimes take for themselves.
int FreezeSignal() { return SIGRTMIN + 7; }

// 1 = workers wait. A plain global: the signal's handler can have nothing else.
constinit std::atomic<uint32_t> g_frozen{0};

uint32_t ThisCore() {
  unsigned core = 0;
  syscall(SYS_getcpu, &core, nullptr, nullptr);
  return core;
}

// The kernel wakes a thread where it slept, or near its waker. In a virtual machine a core that has
// been idle for some time looks taken by the host, so that workers which wake each other gather on
// one core and stay there for a whole turn, while the others idle: seen to cost a third of the work
// of a tenant that is alone and held 70 % of the time. So each worker that was held once is bound
// to a core of its own, of those that it was allowed; workers of other cores are woken before the
// one whose core the waker is using.
uint32_t StayOnOwnCore(uint32_t worker) {
  cpu_set_t allowed = {};
  if (syscall(SYS_sched_getaffinity, 0, sizeof(allowed), &allowed) <= 0) return 0;
  const uint32_t count = static_cast<uint32_t>(CPU_COUNT(&allowed));
  if (count == 0) return 0;
  uint32_t core = 0;
  for (uint32_t left = worker % count; !CPU_ISSET(core, &allowed) || left-- > 0;) ++core;
  if (count == 1) return core;
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(core, &own);
  syscall(SYS_sched_setaffinity, 0, sizeof(own), &own);
  return core;
}

uint32_t GroupOf(uint32_t core) { return 1u << (core % 32); }

struct Marked {
  bool active = false;
  char name[16] = {};
  sigset_t mask;
};
thread_local Marked t_marked __attribute__((tls_model("initial-exec")));

bool IsWorker(const char* tid) {
  char path[320];
  snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char name[32] = {};
  const ssize_t got = read(fd, name, sizeof(name) - 1);
  close(fd);
  return got > 0 && strncmp(name, kWorkerName, sizeof(kWorkerName) - 1) == 0;
}

}  // namespace

void WorkerFreeze::OnSignal(int, siginfo_t* info, void*) {
  const int saved = errno;
  if (g_frozen.load(std::memory_order_acquire) != 0) {
    const uint32_t group = GroupOf(StayOnOwnCore(static_cast<uint32_t>(info->si_value.sival_int)));
    while (g_frozen.load(std::memory_order_acquire) != 0) {
      slice::FutexWait(g_frozen, 1, kSecond, group);
    }
  }
  errno = saved;
}

bool WorkerFreeze::InstallHandler() {
  if (handler_installed_) return true;
  struct sigaction now = {};
  sigaction(FreezeSignal(), nullptr, &now);
  if (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN && now.sa_sigaction != &OnSignal) {
    if (!std::exchange(told_, true)) {
      Notice(
          "signal %d is taken by the program: its share is held by gating launches, less exactly",
          FreezeSignal());
    }
    return false;
  }
  struct sigaction action = {};
  action.sa_sigaction = &OnSignal;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigfillset(&action.sa_mask);
  handler_installed_ = sigaction(FreezeSignal(), &action, nullptr) == 0;
  return handler_installed_;
}

slice::LeverKind WorkerFreeze::kind() const {
  return workers() > 0 ? slice::LeverKind::kFreeze : slice::LeverKind::kGate;
}

void WorkerFreeze::Hold(bool handed_over) {
  const uint32_t count = workers();
  if (count == 0) gate_->Hold(handed_over);
  g_frozen.store(1, std::memory_order_release);
  for (uint32_t i = 0; i < count; ++i) Signal(i);
  if (count > 0 && !std::exchange(workers_held_, true)) hold_times_.Begin(MonotonicNow());
}

void WorkerFreeze::Signal(uint32_t worker) const {
  siginfo_t info = {};
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = static_cast<int>(worker);
  syscall(SYS_rt_tgsigqueueinfo, getpid(), tids_[worker].load(std::memory_order_relaxed),
          FreezeSignal(), &info);
}

void WorkerFreeze::Release() {
  if (std::exchange(workers_held_, false)) hold_times_.End(MonotonicNow());
  g_frozen.store(0, std::memory_order_release);
  slice::FutexWake(g_frozen, ~GroupOf(ThisCore()));
  slice::FutexWake(g_frozen);
  gate_->Release();
}

void WorkerFreeze::BeginMark() {
  Marked& mark = t_marked;
  if (mark.active) return;
  mark.active = true;
  prctl(PR_GET_NAME, mark.name, 0, 0, 0);
  prctl(PR_SET_NAME, kWorkerName, 0, 0, 0);
  // A worker inherits the mask too: it must not be deaf to the lever.
  sigset_t lever;
  sigemptyset(&lever);
  sigaddset(&lever, FreezeSignal());
  pthread_sigmask(SIG_UNBLOCK, &lever, &mark.mask);
}

void WorkerFreeze::EndMark() {
  Marked& mark = t_marked;
  if (!mark.active) return;
  pthread_sigmask(SIG_SETMASK, &mark.mask, nullptr);
  prctl(PR_SET_NAME, mark.name, 0, 0, 0);
  mark.active = false;
}

void WorkerFreeze::FindWorkers() {
  std::lock_guard<std::mutex> lock(mu_);
  DIR* tasks = opendir("/proc/self/task");
  if (!tasks) return;
  uint32_t count = 0;
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.' || count == kMaxWorkers) continue;
    const int tid = atoi(entry->d_name);
    if (tid == getpid() || !IsWorker(entry->d_name)) continue;
    tids_[count++].store(tid, std::memory_order_relaxed);
  }
  closedir(tasks);
  if (count > 0 && !InstallHandler()) count = 0;
  count_.store(count, std::memory_order_release);
  FLEXAI_LOG("slice", kDebug, "%u workers of the driver", count);
  // Found while the tenant is held: they missed the signal.
  if (g_frozen.load(std::memory_order_acquire) == 0) return;
  for (uint32_t i = 0; i < count; ++i) Signal(i);
}

void WorkerFreeze::Forget() {
  count_.store(0, std::memory_order_relaxed);
  g_frozen.store(0, std::memory_order_release);
}

}  // namespace flexai::backend::opencl
