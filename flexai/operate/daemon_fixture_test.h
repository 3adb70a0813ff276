// The daemon in a thread, with cards that are only described, and those who talk to it: clients,
// and programs that hold a slice. The latter are forked children, because a slice lives as long as
// the process that asked for it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "flexai/operate/client.h"
#include "flexai/operate/daemon.h"
#include "flexai/operate/listen.h"
#include "flexai/slice/attach.h"

namespace flexai::operate {

using nlohmann::json;

inline constexpr int kSoonMs = 20000;  // far more than anything here takes

inline model::Card TestCard(const char* id) {
  model::Card card;
  card.id = id;
  card.kind = "cpu";
  card.uuid = std::string("uuid-") + id;
  card.memory_bytes = 1000 * model::kMiB;
  return card;
}

inline json Ask(const json& request) {
  auto client = Client::Connect(/*start_if_missing=*/false);
  if (!client.ok()) return {{"failed", client.status().ToString()}};
  const auto reply = client->Call(request);
  if (reply.ok()) return *reply;
  return {{"code", CodeName(reply.status().code())}, {"message", reply.status().message()}};
}

inline json Create(int share, bool wait = false) {
  return {{"op", "create"}, {"share_permille", share}, {"wait", wait}, {"command", "test"}};
}

inline bool Await(const std::function<bool()>& happened) {
  const Nanos deadline = MonotonicNow() + kSoonMs * kMillisecond;
  while (!happened()) {
    if (MonotonicNow() > deadline) return false;
  }
  return true;
}

// A process that asks for a slice and holds it until it is killed. It says 'w' when it has to wait,
// 's' when it has a slice, 'e' when it was refused.
class Holder {
 public:
  explicit Holder(const json& request, int report_fd = -1) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) Run(request, report_fd, ends[1]);
    close(ends[1]);
    said_ = ends[0];
  }
  ~Holder() {
    Kill();
    close(said_);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  /// The next thing it says; 0 if it says nothing for long.
  char Said() const {
    pollfd wait = {said_, POLLIN, 0};
    char word = 0;
    if (poll(&wait, 1, kSoonMs) <= 0 || read(said_, &word, 1) != 1) return 0;
    return word;
  }
  bool SaysNothing() const {
    pollfd wait = {said_, POLLIN, 0};
    return poll(&wait, 1, 0) == 0;
  }
  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void Run(const json& request, int report_fd, int out) {
    // The parent's connections shall end when the parent closes them.
    for (int fd = 3; fd < 256; ++fd) {
      if (fd != report_fd && fd != out) close(fd);
    }
    const auto say = [&](char word) { return write(out, &word, 1) == 1; };
    auto client = Client::Connect(false);
    Result<json> reply = client.ok() ? client->Call(request, report_fd) : client.status();
    while (reply.ok() && reply->contains("waiting") && say('w')) reply = client->Next();
    say(reply.ok() && reply->contains("slice") ? 's' : 'e');
    for (;;) pause();
  }

  pid_t pid_ = -1;
  int said_ = -1;
};

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override { Start({TestCard("0")}); }
  void TearDown() override { Stop(); }

  void Start(std::vector<model::Card> cards, DaemonOptions options = {}) {
    static int number = 0;
    options.address =
        "@flexai-daemon-test-" + std::to_string(getpid()) + "-" + std::to_string(number++);
    const auto fd = Listen(options.address, 0600);
    ASSERT_TRUE(fd.ok()) << fd.status().ToString();
    options.listen_fd = *fd;
    options.version = "test";
    setenv("FLEXAI_SOCKET", options.address.c_str(), 1);
    address_ = options.address;
    daemon_ = std::make_unique<Daemon>(std::move(options), std::move(cards));
    thread_ = std::thread([this] { EXPECT_TRUE(daemon_->Run().ok()); });
  }
  void Stop() {
    if (!daemon_) return;
    daemon_->Stop();
    thread_.join();
    daemon_.reset();
  }

  json Status() { return Ask({{"op", "status"}}); }
  size_t Slices() { return Status()["slices"].size(); }
  size_t Waiting() { return Status()["waiting"].size(); }
  int Raw() {
    const auto fd = slice::ConnectDaemon(address_);
    EXPECT_TRUE(fd.ok());
    return *fd;
  }

  std::string address_;
  std::unique_ptr<Daemon> daemon_;
  std::thread thread_;
};

}  // namespace flexai::operate
