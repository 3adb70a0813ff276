#include "flexai/backend/cuda/mps.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace flexai::backend::cuda {
namespace {

// Both the daemon and its servers begin so; the kernel keeps 15 letters of a process's name.
constexpr char kProcess[] = "nvidia-cuda-mps";
// In /proc/net/unix: __SO_ACCEPTCON, a socket that somebody listens on.
constexpr unsigned long kListens = 0x10000;

std::string FindProcess() {
  DIR* processes = opendir("/proc");
  std::string found;
  while (const dirent* entry = processes ? readdir(processes) : nullptr) {
    char path[280], name[32] = {};
    snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
    FILE* file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : nullptr;
    if (!file) continue;
    if (fgets(name, sizeof(name), file) && strncmp(name, kProcess, strlen(kProcess)) == 0) {
      found = std::string("process ") + entry->d_name;
    }
    fclose(file);
  }
  if (processes) closedir(processes);
  return found;
}

// Its process may be hidden in another namespace, while its socket is mounted here.
std::string FindSocket() {
  const std::string wanted = MpsFolder() + "/control";
  FILE* file = fopen("/proc/net/unix", "re");
  std::string found;
  char line[512];
  while (file && found.empty() && fgets(line, sizeof(line), file)) {
    unsigned long flags = 0;
    int path = 0;
    // Num: RefCount Protocol Flags Type St Inode Path
    if (sscanf(line, "%*s %*s %*s %lx %*s %*s %*s %n", &flags, &path) < 1 || path == 0) continue;
    line[strcspn(line, "\n")] = '\0';
    if ((flags & kListens) != 0 && wanted == line + path) found = "the socket " + wanted;
  }
  if (file) fclose(file);
  return found;
}

}  // namespace

std::string MpsFolder() {
  const char* folder = getenv("CUDA_MPS_PIPE_DIRECTORY");
  return folder && *folder ? folder : "/tmp/nvidia-mps";
}

std::string FindMps() {
  const std::string process = FindProcess();
  return process.empty() ? FindSocket() : process;
}

}  // namespace flexai::backend::cuda
