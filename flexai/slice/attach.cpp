#include "flexai/slice/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

namespace flexai::slice {
namespace {

Result<socklen_t> FillAddress(const std::string& address, sockaddr_un* out) {
  *out = {};
  out->sun_family = AF_UNIX;
  if (address.empty() || address.size() >= sizeof(out->sun_path)) {
    return Status(Code::kInvalidArgument, "socket address '" + address + "' is empty or too long",
                  "set FLEXAI_SOCKET to a path below 108 bytes");
  }
  memcpy(out->sun_path, address.data(), address.size());
  if (address[0] == '@') {
    out->sun_path[0] = '\0';
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  }
  return static_cast<socklen_t>(sizeof(*out));
}

// Reads exactly `size` bytes, and a passed fd if one comes along.
Status ReadAll(int socket, void* data, size_t size, int timeout_ms, int* fd) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    pollfd wait = {socket, POLLIN, 0};
    const int ready = poll(&wait, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Status(Code::kUnavailable, "the daemon does not answer");
    iovec part = {at, size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Status(Code::kUnavailable, "the connection to the daemon was closed");
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int passed;
      memcpy(&passed, CMSG_DATA(c), sizeof(passed));
      if (fd && *fd < 0) {
        *fd = passed;
      } else {
        close(passed);
      }
    }
    at += got;
    size -= static_cast<size_t>(got);
  }
  return Status();
}

}  // namespace

Result<AttachRequest> ReadSliceVariable(const char* text) {
  AttachRequest request = {};
  request.region_version = 1;
  request.slot = -1;
  unsigned long long memory = 0;
  unsigned priority = 0;
  int used = 0;
  const int fields = sscanf(text, "%31[^:]:%d:%d:%llu:%u:%d%n", request.slice, &request.share,
                            &request.limit, &memory, &priority, &request.leader_pid, &used);
  if (fields != 6 || text[used] != '\0') {
    return Status(Code::kInvalidArgument, "FLEXAI_SLICE is '" + std::string(text) + "'",
                  "start the program with flexai run, which sets it");
  }
  request.memory = memory;
  request.priority = priority;
  return request;
}

std::string WriteSliceVariable(const std::string& id, const model::SliceSpec& spec,
                               int leader_pid) {
  return id + ":" + std::to_string(spec.share) + ":" + std::to_string(spec.limit) + ":" +
         std::to_string(spec.memory) + ":" + std::to_string(static_cast<int>(spec.priority)) + ":" +
         std::to_string(leader_pid);
}

Result<int> ConnectDaemon(const std::string& address) {
  sockaddr_un where;
  const Result<socklen_t> length = FillAddress(address, &where);
  if (!length.ok()) return length.status();
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoStatus(Code::kUnavailable, "cannot make a socket");
  if (connect(fd, reinterpret_cast<const sockaddr*>(&where), *length) != 0) {
    const Code code = errno == EACCES ? Code::kPermissionDenied : Code::kUnavailable;
    const Status status = ErrnoStatus(code, "no daemon answers at " + address,
                                      "start one with flexaid, or run flexai doctor");
    close(fd);
    return status;
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != 0 && peer.uid != geteuid() && peer.uid != getuid())) {
    close(fd);
    return Status(Code::kPermissionDenied,
                  "the socket " + address + " belongs to user " + std::to_string(peer.uid) +
                      ", neither you nor root",
                  "stop that program, or set FLEXAI_SOCKET to another address");
  }
  return fd;
}

std::string UserDaemonAddress() {
  if (const char* folder = getenv("XDG_RUNTIME_DIR"); folder && folder[0] == '/') {
    struct stat info;
    if (stat(folder, &info) == 0 && S_ISDIR(info.st_mode) && access(folder, W_OK) == 0) {
      return std::string(folder) + "/flexai/flexaid.sock";
    }
  }
  // No folder to write to is needed for this one; peers check each other's user instead.
  return "@flexai-" + std::to_string(geteuid());
}

int DaemonAddresses(std::string out[3]) {
  if (const char* set = getenv("FLEXAI_SOCKET"); set && set[0]) {
    out[0] = set;
    return 1;
  }
  int count = 0;
  const std::string system = "/run/flexai/flexaid.sock";
  if (access(system.c_str(), F_OK) == 0) out[count++] = system;
  out[count++] = UserDaemonAddress();
  const std::string abstract = "@flexai-" + std::to_string(geteuid());
  if (out[count - 1] != abstract) out[count++] = abstract;
  return count;
}

Status SendFrame(int socket, FrameType type, const void* data, uint32_t size, int fd) {
  FrameHeader header;
  header.type = static_cast<uint16_t>(type);
  header.length = size;
  iovec parts[2] = {{&header, sizeof(header)}, {const_cast<void*>(data), size}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
  }
  size_t left = sizeof(header) + size;
  while (left > 0) {
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return ErrnoStatus(Code::kUnavailable, "the connection was closed");
    left -= static_cast<size_t>(sent);
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    for (iovec& part : parts) {
      const size_t taken = std::min<size_t>(part.iov_len, static_cast<size_t>(sent));
      part.iov_base = static_cast<char*>(part.iov_base) + taken;
      part.iov_len -= taken;
      sent -= static_cast<ssize_t>(taken);
    }
  }
  return Status();
}

Result<Frame> ReceiveFrame(int socket, int timeout_ms) {
  FrameHeader header;
  Frame frame;
  FLEXAI_RETURN_IF_ERROR(ReadAll(socket, &header, sizeof(header), timeout_ms, &frame.fd));
  Status error;
  if (header.magic != kFrameMagic || header.length > kMaxFrame) {
    error = Status(Code::kDataLoss, "what came over the socket is not flexai's protocol");
  } else if (header.version != kProtocolVersion) {
    error = Status(Code::kFailedPrecondition,
                   "the peer speaks protocol " + std::to_string(header.version) +
                       ", this program " + std::to_string(kProtocolVersion),
                   "use flexai, flexaid and libraries of one release");
  } else {
    frame.type = static_cast<FrameType>(header.type);
    frame.data.resize(header.length);
    error = ReadAll(socket, frame.data.data(), header.length, timeout_ms, &frame.fd);
  }
  if (error.ok()) return frame;
  if (frame.fd >= 0) close(frame.fd);
  return error;
}

}  // namespace flexai::slice
