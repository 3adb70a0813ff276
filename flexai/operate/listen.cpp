#include "flexai/operate/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "flexai/slice/attach.h"

namespace flexai::operate {
namespace {

// One lock beside the socket decides who may replace a dead daemon's file; the kernel drops it with
// the process. It stays open for the daemon's life.
Status LockBeside(const std::string& path) {
  const std::string name = path + ".lock";
  for (;;) {
    const int lock = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return ErrnoStatus(Code::kPermissionDenied, "cannot write beside " + path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
      close(lock);
      return Status(Code::kAlreadyExists, "a daemon serves " + path + " already",
                    "stop it first, or name another --socket");
    }
    struct stat ours, there;
    if (fstat(lock, &ours) == 0 && stat(name.c_str(), &there) == 0 && ours.st_ino == there.st_ino) {
      return Status();
    }
    close(lock);  // a daemon that ended took the file away after we had opened it
  }
}

Status PreparePath(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  if (!folder.empty() && mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(Code::kPermissionDenied, "cannot make the folder " + folder);
  }
  FLEXAI_RETURN_IF_ERROR(LockBeside(path));
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return Status();
  if (!S_ISSOCK(info.st_mode)) {
    return Status(Code::kAlreadyExists, path + " is there and is no socket",
                  "move it away, or name another --socket");
  }
  if (unlink(path.c_str()) != 0) {
    return ErrnoStatus(Code::kPermissionDenied, "cannot replace " + path);
  }
  return Status();
}

}  // namespace

Result<int> Listen(const std::string& address, unsigned mode) {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  if (address.size() < 2 || address.size() >= sizeof(where.sun_path)) {
    return Status(Code::kInvalidArgument, "socket address '" + address + "' is empty or too long",
                  "name a path below 108 bytes");
  }
  memcpy(where.sun_path, address.data(), address.size());
  socklen_t length = sizeof(where);
  const bool abstract = address[0] == '@';
  if (abstract) {
    where.sun_path[0] = '\0';
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  } else {
    FLEXAI_RETURN_IF_ERROR(PreparePath(address));
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return ErrnoStatus(Code::kInternal, "cannot make a socket");
  const mode_t before = umask(0777 & ~mode);
  const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&where), length);
  umask(before);
  if (bound != 0 || listen(fd, 128) != 0) {
    const Code code = errno == EADDRINUSE ? Code::kAlreadyExists : Code::kPermissionDenied;
    const Status status = ErrnoStatus(code, "cannot listen at " + address);
    close(fd);
    return status;
  }
  return fd;
}

void StopListening(const std::string& address) {
  if (address[0] == '@') return;
  unlink(address.c_str());
  // Last, because who holds it may replace the socket.
  unlink((address + ".lock").c_str());
}

int InheritedSocket() {
  const char* pid = getenv("LISTEN_PID");
  const char* count = getenv("LISTEN_FDS");
  if (!pid || !count || atoi(pid) != getpid() || atoi(count) < 1) return -1;
  fcntl(3, F_SETFD, FD_CLOEXEC);
  fcntl(3, F_SETFL, O_NONBLOCK);
  return 3;
}

}  // namespace flexai::operate
