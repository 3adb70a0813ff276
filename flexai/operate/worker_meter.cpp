#include "flexai/operate/worker_meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace flexai::operate {
namespace {

int OpenTaskFile(const std::string& folder, const char* name) {
  return open((folder + name).c_str(), O_RDONLY | O_CLOEXEC);
}

// The state letter of a stat line: what follows the last ')'.
char TaskState(int fd) {
  char text[512];
  const ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
  if (got <= 0) return 'X';
  text[got] = '\0';
  const char* end = strrchr(text, ')');
  return end && end[1] == ' ' ? end[2] : 'X';
}

// On a core, and waiting for one.
struct TaskTimes {
  Nanos ran = 0;
  Nanos waited = 0;
};

TaskTimes ReadTimes(int fd) {
  char text[96];
  const ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
  if (got <= 0) return {};
  text[got] = '\0';
  char* end;
  TaskTimes times;
  times.ran = strtoll(text, &end, 10);
  times.waited = strtoll(end, nullptr, 10);
  return times;
}

}  // namespace

WorkerMeter::~WorkerMeter() {
  for (const Worker& worker : workers_) Close(worker);
}

void WorkerMeter::Close(const Worker& worker) {
  close(worker.stat_fd);
  close(worker.schedstat_fd);
}

void WorkerMeter::Find(const char* name) {
  const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
  DIR* folder = opendir(tasks.c_str());
  std::vector<Worker> found;
  while (const dirent* entry = folder ? readdir(folder) : nullptr) {
    const pid_t tid = atoi(entry->d_name);
    if (tid <= 0 || tid == pid_) continue;
    const auto known = std::find_if(workers_.begin(), workers_.end(),
                                    [&](const Worker& w) { return w.tid == tid; });
    if (known != workers_.end()) {
      found.push_back(*known);
      workers_.erase(known);
      continue;
    }
    const std::string task = tasks + "/" + entry->d_name;
    char comm[32] = {};
    const int fd = OpenTaskFile(task, "/comm");
    if (fd < 0) continue;
    const ssize_t got = read(fd, comm, sizeof(comm) - 1);
    close(fd);
    if (got <= 0 || strncmp(comm, name, strlen(name)) != 0) continue;
    const Worker worker = {tid, OpenTaskFile(task, "/stat"), OpenTaskFile(task, "/schedstat"), 0};
    if (worker.stat_fd >= 0 && worker.schedstat_fd >= 0) found.push_back(worker);
  }
  if (folder) closedir(folder);
  for (const Worker& gone : workers_) Close(gone);
  workers_ = std::move(found);
}

bool WorkerMeter::Active() {
  for (const Worker& worker : workers_) {
    if (TaskState(worker.stat_fd) == 'R') return true;
  }
  bool ran = false;
  for (Worker& worker : workers_) {
    const Nanos time = ReadTimes(worker.schedstat_fd).ran;
    ran = ran || time > worker.seen;
    worker.seen = time;
  }
  return ran;
}

Nanos WorkerMeter::CpuTime() {
  Nanos sum = 0;
  for (const Worker& worker : workers_) sum += ReadTimes(worker.schedstat_fd).ran;
  return sum;
}

Nanos WorkerMeter::Waited() {
  Nanos sum = 0;
  for (const Worker& worker : workers_) sum += ReadTimes(worker.schedstat_fd).waited;
  return sum;
}

Nanos WorkerMeter::ProcessTime() const {
  clockid_t clock;
  timespec time;
  if (clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return time.tv_sec * kSecond + time.tv_nsec;
}

}  // namespace flexai::operate
