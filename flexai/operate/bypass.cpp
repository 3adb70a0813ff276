#include "flexai/operate/bypass.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

namespace flexai::operate {
namespace {

constexpr size_t kMostProcesses = 4096;

std::string ReadFile(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char bytes[16384];
  for (ssize_t got; (got = read(fd, bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(got));
  }
  close(fd);
  return text;
}

void AppendChildren(pid_t pid, std::vector<pid_t>* out) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  DIR* folder = opendir(tasks.c_str());
  while (const dirent* entry = folder ? readdir(folder) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    const std::string children = ReadFile(tasks + "/" + entry->d_name + "/children");
    const char* at = children.c_str();
    for (char* end; const long child = strtol(at, &end, 10); at = end) {
      out->push_back(static_cast<pid_t>(child));
    }
  }
  if (folder) closedir(folder);
}

}  // namespace

std::vector<pid_t> DescendantsOf(pid_t leader) {
  std::vector<pid_t> all = {leader};
  for (size_t i = 0; i < all.size() && all.size() < kMostProcesses; ++i) {
    AppendChildren(all[i], &all);
  }
  return all;
}

std::string MappedDriver(pid_t pid, const std::vector<std::string>& libraries) {
  const std::string maps = ReadFile("/proc/" + std::to_string(pid) + "/maps");
  for (const std::string& library : libraries) {
    // The file that carries the name, or a version of it: libx.so.2 is mapped as libx.so.2.9.0.
    const size_t found = maps.find("/" + library);
    if (found == std::string::npos) continue;
    const char next = maps[found + 1 + library.size()];
    if (next == '\n' || next == '.' || next == ' ') return library;
  }
  return "";
}

}  // namespace flexai::operate
