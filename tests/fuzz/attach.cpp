// Feeds what meets at the daemon's socket with bytes that no program of ours wrote. First byte: 0
// means that the rest comes over a socket to a client (ReceiveFrame), 1 to the daemon (Connection,
// in pieces and with a file along), anything else that it is FLEXAI_SLICE.
#include "flexai/slice/attach.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "flexai/operate/connection.h"

namespace flexai {
namespace {

// What fits into a socket's buffer without anyone reading.
constexpr size_t kMost = 64 << 10;

void Require(bool holds) {
  if (!holds) abort();
}

struct Pair {
  Pair() { Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0); }
  int ends[2];
};

void FuzzClient(const uint8_t* data, size_t size) {
  Pair pair;
  Require(write(pair.ends[0], data, size) == static_cast<ssize_t>(size));
  close(pair.ends[0]);
  for (;;) {
    const auto frame = slice::ReceiveFrame(pair.ends[1], 1000);
    if (!frame.ok()) break;
    Require(frame->fd < 0 && frame->data.size() <= size);
  }
  close(pair.ends[1]);
}

int PassedFile() {
  static const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return file;
}

void SendWithFile(int socket, const uint8_t* data, size_t size) {
  const int file = PassedFile();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {const_cast<uint8_t*>(data), size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &file, sizeof(file));
  Require(sendmsg(socket, &message, 0) == static_cast<ssize_t>(size));
}

// A piece ends after as many bytes as its first byte says; every third one brings a file.
void FuzzDaemon(const uint8_t* data, size_t size) {
  Pair pair;
  {
    operate::Connection connection(pair.ends[1]);
    size_t taken = 0;
    for (int piece = 0; size > 0; ++piece) {
      const size_t length = std::min<size_t>(size, 1 + data[0]);
      if (piece % 3 == 2) {
        SendWithFile(pair.ends[0], data, length);
      } else {
        Require(write(pair.ends[0], data, length) == static_cast<ssize_t>(length));
      }
      data += length;
      size -= length;
      taken += length;
      const bool alive = connection.ReadSome();
      slice::Frame frame;
      while (connection.TakeFrame(&frame)) {
        Require(frame.data.size() <= taken);
        if (frame.fd >= 0) close(frame.fd);
      }
      if (!alive || connection.broken()) break;
    }
  }
  close(pair.ends[0]);
}

void FuzzVariable(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto read = slice::ReadSliceVariable(text.c_str());
  if (!read.ok()) return;
  // What is understood can be written again and means the same.
  model::SliceSpec spec;
  spec.share = read->share;
  spec.limit = read->limit;
  spec.memory = read->memory;
  spec.priority = static_cast<model::Priority>(read->priority & 0xff);
  const auto again = slice::ReadSliceVariable(
      slice::WriteSliceVariable(read->slice, spec, read->leader_pid).c_str());
  Require(again.ok() && strcmp(again->slice, read->slice) == 0 && again->share == read->share &&
          again->limit == read->limit && again->memory == read->memory &&
          again->leader_pid == read->leader_pid);
}

// A descriptor that is lost in one input would take thousands to be missed: look at the next free.
int NextFree() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

}  // namespace
}  // namespace flexai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > flexai::kMost) return 0;
  flexai::PassedFile();  // opened before we count
  const int before = flexai::NextFree();
  if (data[0] == 0) {
    flexai::FuzzClient(data + 1, size - 1);
  } else if (data[0] == 1) {
    flexai::FuzzDaemon(data + 1, size - 1);
  } else {
    flexai::FuzzVariable(data + 1, size - 1);
  }
  flexai::Require(flexai::NextFree() == before);
  return 0;
}
