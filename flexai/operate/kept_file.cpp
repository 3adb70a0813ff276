#include "flexai/operate/kept_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace flexai::operate {
namespace {

// The folder and those that hold it: ~/.local/state may not be there yet.
void MakeFolder(const std::string& folder) {
  for (size_t at = 1; at != std::string::npos;) {
    at = folder.find('/', at);
    mkdir(folder.substr(0, at).c_str(), 0755);
    if (at != std::string::npos) ++at;
  }
}

}  // namespace

std::string ReadKept(const std::string& path, off_t longest) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return "";
  struct stat about = {};
  std::string text;
  if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= longest &&
      (about.st_uid == geteuid() || about.st_uid == 0) && (about.st_mode & 022) == 0) {
    text.resize(static_cast<size_t>(about.st_size));
    const ssize_t got = read(fd, text.data(), text.size());
    text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  }
  close(fd);
  return text;
}

Status WriteKept(const std::string& folder, const std::string& name, const std::string& text) {
  MakeFolder(folder);
  // Whoever else writes it: another daemon of this user knows as much.
  const std::string path = folder + "/" + name;
  const std::string fresh = path + "." + std::to_string(getpid());
  unlink(fresh.c_str());
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(Code::kUnavailable, "cannot write " + fresh);
  const bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (whole && rename(fresh.c_str(), path.c_str()) == 0) return Status();
  const Status failed = ErrnoStatus(Code::kUnavailable, "cannot write " + path);
  unlink(fresh.c_str());
  return failed;
}

}  // namespace flexai::operate
