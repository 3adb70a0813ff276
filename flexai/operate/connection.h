// One peer on the daemon's socket: frames are put together as bytes arrive, so that a slow or
// broken peer never makes the daemon wait.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "flexai/slice/attach.h"

namespace flexai::operate {

class Connection {
 public:
  /// Takes `fd`, a connected socket. The peer's identity is what the kernel says.
  explicit Connection(int fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Reads what is there. False: the peer is gone or does not speak our protocol.
  bool ReadSome();
  /// The next whole frame, if there is one; its fd (if any) is the caller's.
  bool TakeFrame(slice::Frame* frame);
  /// False: the peer is gone, or does not read.
  bool Send(slice::FrameType type, const void* data, size_t size, int fd = -1);

  /// The peer is gone or speaks another protocol: nothing more will come of it.
  bool broken() const { return broken_; }
  int fd() const { return fd_; }
  pid_t pid() const { return pid_; }
  uid_t uid() const { return uid_; }

 private:
  int fd_;
  pid_t pid_ = 0;
  uid_t uid_ = 0;
  bool broken_ = false;
  std::string buffer_;
  std::vector<int> passed_;
};

}  // namespace flexai::operate
