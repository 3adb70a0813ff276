#include "flexai/operate/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace flexai::operate {

Connection::Connection(int fd) : fd_(fd) {
  fcntl(fd_, F_SETFL, O_NONBLOCK);
  const int bytes = 1 << 20;
  setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    pid_ = peer.pid;
    uid_ = peer.uid;
  } else {
    broken_ = true;
  }
}

Connection::~Connection() {
  for (const int fd : passed_) close(fd);
  close(fd_);
}

bool Connection::ReadSome() {
  for (;;) {
    char bytes[16384];
    iovec part = {bytes, sizeof(bytes)};
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return !broken_;
    for (cmsghdr* c = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr; c;
         c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
        passed_.push_back(fd);
      }
    }
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(got));
    if (buffer_.size() > sizeof(slice::FrameHeader) + slice::kMaxFrame || passed_.size() > 8) {
      return false;
    }
  }
}

bool Connection::TakeFrame(slice::Frame* frame) {
  slice::FrameHeader header;
  if (broken_ || buffer_.size() < sizeof(header)) return false;
  memcpy(&header, buffer_.data(), sizeof(header));
  if (header.magic != slice::kFrameMagic || header.length > slice::kMaxFrame ||
      header.version != slice::kProtocolVersion) {
    // The header alone, in our version: the peer learns which one that is, then loses us.
    slice::FrameHeader ours;
    send(fd_, &ours, sizeof(ours), MSG_NOSIGNAL);
    broken_ = true;
    return false;
  }
  if (buffer_.size() < sizeof(header) + header.length) return false;
  frame->type = static_cast<slice::FrameType>(header.type);
  frame->data = buffer_.substr(sizeof(header), header.length);
  frame->fd = -1;
  if (!passed_.empty()) {
    frame->fd = passed_.front();
    passed_.erase(passed_.begin());
  }
  buffer_.erase(0, sizeof(header) + header.length);
  return true;
}

bool Connection::Send(slice::FrameType type, const void* data, size_t size, int fd) {
  if (!slice::SendFrame(fd_, type, data, static_cast<uint32_t>(size), fd).ok()) broken_ = true;
  return !broken_;
}

}  // namespace flexai::operate
