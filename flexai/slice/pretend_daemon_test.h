// A daemon of a few lines, for tests and benches: it hands one slice's region to whoever attaches
// in this process, and decides nothing. While it lives, the environment points at it.
#pragma once

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "flexai/slice/attach.h"
#include "flexai/slice/region.h"

namespace flexai::slice {

class PretendDaemon {
 public:
  /// `refusal`, if it is an error, is the answer to everybody.
  explicit PretendDaemon(uint64_t memory_limit, Status refusal = Status())
      : region_(RegionMap::Create("s-pretend").value()), refusal_(std::move(refusal)) {
    region_->header.memory_limit = memory_limit;
    ComeBack();
    static std::atomic<int> number{0};
    const std::string address =
        "@flexai-pretend-" + std::to_string(getpid()) + "-" + std::to_string(number++);
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    memcpy(where.sun_path + 1, address.data() + 1, address.size() - 1);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening_, reinterpret_cast<const sockaddr*>(&where), length) != 0 ||
        listen(listening_, 8) != 0) {
      abort();
    }
    setenv("FLEXAI_SOCKET", address.c_str(), 1);
    setenv("FLEXAI_SLICE", WriteSliceVariable("s-pretend", {}, getpid()).c_str(), 1);
    thread_ = std::thread([this] { Serve(); });
  }

  ~PretendDaemon() {
    eventfd_write(stop_, 1);
    thread_.join();
    unsetenv("FLEXAI_SOCKET");
    unsetenv("FLEXAI_SLICE");
    for (const int fd : peers_) close(fd);
    close(listening_);
    close(stop_);
  }
  PretendDaemon(const PretendDaemon&) = delete;
  PretendDaemon& operator=(const PretendDaemon&) = delete;

  Region& region() { return *region_.get(); }
  /// Alive for the next hour, as far as tenants see.
  void ComeBack() { region_->header.heartbeat = MonotonicNow() + 3600 * kSecond; }
  /// Dead for ever so long; who looks for a successor finds us again.
  void Die() {
    region_->header.heartbeat = 0;
    std::lock_guard<std::mutex> lock(mu_);
    for (const int fd : peers_) shutdown(fd, SHUT_RDWR);
    FutexWake(region_->header.gate);
  }
  /// What it books for the first process when somebody asks it to compare; without it, it cannot.
  /// The others it does not know.
  void BookWhenCompared(uint64_t bytes) { to_book_ = static_cast<int64_t>(bytes); }
  int compared() const { return compared_; }
  /// How many have attached, those included that held a slot already.
  int attached() const { return attached_; }

 private:
  void Serve() {
    for (;;) {
      pollfd wait[2] = {{listening_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(wait, 2, -1) < 0) continue;
      if (wait[1].revents != 0) return;
      const int peer = accept(listening_, nullptr, nullptr);
      {
        std::lock_guard<std::mutex> lock(mu_);
        peers_.push_back(peer);
      }
      Answer(peer);
    }
  }

  void Answer(int peer) {
    const auto frame = ReceiveFrame(peer, 5000);
    if (frame.ok() && frame->type == FrameType::kRequest) {
      const bool compares = to_book_ >= 0;
      ProcessSlot& first = region_->slots[0];
      const uint32_t unforeseen = first.unforeseen;
      if (compares) first.booked = static_cast<uint64_t>(to_book_);
      if (compares) first.compared = unforeseen;
      compared_ += compares;
      const std::string reply = compares ? R"({"compared":true})" : R"({"compared":false})";
      (void)SendFrame(peer, FrameType::kReply, reply.data(), static_cast<uint32_t>(reply.size()))
          .ok();
      return;
    }
    AttachRequest request;
    if (!frame.ok() || frame->data.size() != sizeof(request)) return;
    memcpy(&request, frame->data.data(), sizeof(request));
    if (frame->fd >= 0) close(frame->fd);
    AttachReply reply = {};
    reply.code = static_cast<int32_t>(refusal_.code());
    strncpy(reply.message, std::string(refusal_.message()).c_str(), sizeof(reply.message) - 1);
    const bool fresh = request.slot < 0;
    reply.slot = fresh ? static_cast<int32_t>(region_->header.slots_used++) : request.slot;
    reply.owner = static_cast<uint64_t>(reply.slot) + 1;
    region_->slots[reply.slot].owner = reply.owner;
    ++attached_;
    (void)SendFrame(peer, FrameType::kAttached, &reply, sizeof(reply), fresh ? region_.fd() : -1)
        .ok();
  }

  RegionMap region_;
  Status refusal_;
  int listening_ = -1;
  int stop_ = eventfd(0, EFD_CLOEXEC);
  std::mutex mu_;  // guards peers_
  std::vector<int> peers_;
  std::atomic<int> attached_{0};
  std::atomic<int64_t> to_book_{-1};
  std::atomic<int> compared_{0};
  std::thread thread_;
};

}  // namespace flexai::slice
