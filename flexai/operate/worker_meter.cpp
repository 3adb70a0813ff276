#include "flexai/operate/worker_meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

Nanos TaskTime(int fd) {
  char text[96];
  const ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
  if (got <= 0) return 0;
  text[got] = '\0';
  return strtoll(text, nullptr, 10);
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
    const Nanos time = TaskTime(worker.schedstat_fd);
    ran = ran || time > worker.seen;
    worker.seen = time;
  }
  return ran;
}

Nanos WorkerMeter::CpuTime() {
  Nanos sum = 0;
  for (const Worker& worker : workers_) sum += TaskTime(worker.schedstat_fd);
  return sum;
}

}  // namespace flexai::operate
