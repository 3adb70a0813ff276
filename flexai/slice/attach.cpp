#include "flexai/slice/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "flexai/slice/region.h"

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
      // The alignment of control messages leaves room for more than the one that is kept.
      const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int passed;
        memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof(passed));
        if (fd && *fd < 0) {
          *fd = passed;
        } else {
          close(passed);
        }
      }
    }
    at += got;
    size -= static_cast<size_t>(got);
  }
  return Status();
}

// As whom the kernel shows everybody whom a user namespace does not know.
constexpr uid_t kNobody = 65534;

// Whether some users of the machine have no number here.
bool InUserNamespace() {
  char map[64] = {};
  const int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd >= 0 ? read(fd, map, sizeof(map) - 1) : 0;
  if (fd >= 0) close(fd);
  unsigned first = 1, outside = 1, count = 0;
  const bool whole = got > 0 && sscanf(map, "%u %u %u", &first, &outside, &count) == 3 &&
                     first == 0 && outside == 0 && count == ~0u;
  return got > 0 && !whole;
}

// Takes the next number of `text` and the colon behind it; false: no number, or one above `most`.
bool TakeNumber(std::string_view* text, uint64_t most, uint64_t* number) {
  const size_t length = std::min(text->find(':'), text->size());
  const char* end = text->data() + length;
  const auto read = std::from_chars(text->data(), end, *number);
  text->remove_prefix(std::min(length + 1, text->size()));
  return read.ec == std::errc() && read.ptr == end && *number <= most;
}

}  // namespace

Result<AttachRequest> ReadSliceVariable(const char* text) {
  AttachRequest request = {};
  request.region_version = kRegionVersion;
  request.slot = -1;
  std::string_view rest = text;
  const size_t id = std::min(rest.find(':'), rest.size());
  uint64_t share = 0, limit = 0, priority = 0, leader = 0, cards = 0;
  bool fits =
      id > 0 && id < sizeof(request.slice) && std::count(text, text + rest.size(), ':') == 6;
  if (fits) {
    memcpy(request.slice, text, id);
    rest.remove_prefix(id + 1);
    fits = TakeNumber(&rest, INT32_MAX, &share) && TakeNumber(&rest, INT32_MAX, &limit) &&
           TakeNumber(&rest, UINT64_MAX, &request.memory) &&
           TakeNumber(&rest, UINT32_MAX, &priority) && TakeNumber(&rest, INT32_MAX, &leader) &&
           TakeNumber(&rest, model::kMostCards, &cards) && cards > 0;
  }
  if (!fits) {
    return Status(Code::kInvalidArgument, "FLEXAI_SLICE is '" + std::string(text) + "'",
                  "start the program with flexai run, which sets it");
  }
  request.share = static_cast<int32_t>(share);
  request.limit = static_cast<int32_t>(limit);
  request.priority = static_cast<uint32_t>(priority);
  request.leader_pid = static_cast<int32_t>(leader);
  request.cards = static_cast<int32_t>(cards);
  return request;
}

int CardsOfSlice(const char* text) {
  const Result<AttachRequest> request = ReadSliceVariable(text);
  return request.ok() ? request->cards : 1;
}

std::string WriteSliceVariable(const std::string& id, const model::SliceSpec& spec,
                               int leader_pid) {
  return id + ":" + std::to_string(spec.share) + ":" + std::to_string(spec.limit) + ":" +
         std::to_string(spec.memory) + ":" + std::to_string(static_cast<int>(spec.priority)) + ":" +
         std::to_string(leader_pid) + ":" + std::to_string(spec.cards);
}

Result<int> ConnectDaemon(const std::string& address, bool wait) {
  sockaddr_un where;
  const Result<socklen_t> length = FillAddress(address, &where);
  if (!length.ok()) return length.status();
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
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
  const bool told = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  if (told && peer.uid == kNobody && InUserNamespace()) {
    close(fd);
    return Status(Code::kPermissionDenied,
                  "the socket " + address +
                      " belongs to a user that this user namespace does not know, so it could be "
                      "anybody's",
                  "start flexaid inside of the namespace, or the program outside of it");
  }
  if (!told || (peer.uid != 0 && peer.uid != geteuid() && peer.uid != getuid())) {
    close(fd);
    return Status(Code::kPermissionDenied,
                  "the socket " + address + " belongs to user " + std::to_string(peer.uid) +
                      ", neither you nor root",
                  "stop that program, or set FLEXAI_SOCKET to another address");
  }
  return fd;
}

DaemonEnvironment ReadDaemonEnvironment() {
  DaemonEnvironment read;
  if (const char* socket = getenv("FLEXAI_SOCKET")) read.socket = socket;
  if (const char* folder = getenv("XDG_RUNTIME_DIR")) read.runtime_folder = folder;
  return read;
}

std::string UserDaemonAddress(const DaemonEnvironment& environment) {
  const std::string& folder = environment.runtime_folder;
  struct stat info;
  if (folder.starts_with('/') && stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
      access(folder.c_str(), W_OK) == 0) {
    return folder + "/flexai/flexaid.sock";
  }
  // No folder to write to is needed for this one; peers check each other's user instead.
  return "@flexai-" + std::to_string(geteuid());
}

int DaemonAddresses(const DaemonEnvironment& environment, std::string out[3]) {
  if (!environment.socket.empty()) {
    out[0] = environment.socket;
    return 1;
  }
  int count = 0;
  const std::string system = "/run/flexai/flexaid.sock";
  if (access(system.c_str(), F_OK) == 0) out[count++] = system;
  out[count++] = UserDaemonAddress(environment);
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
