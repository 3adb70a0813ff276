#include "flexai/operate/client.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "flexai/base/clock.h"
#include "flexai/operate/json_text.h"
#include "flexai/slice/attach.h"

namespace flexai::operate {
namespace {

constexpr Nanos kStartTimeout = 10 * kSecond;

Result<std::pair<int, std::string>> ConnectAny() {
  std::string addresses[3];
  const int count = slice::DaemonAddresses(slice::ReadDaemonEnvironment(), addresses);
  Status first;
  for (int i = 0; i < count; ++i) {
    Result<int> fd = slice::ConnectDaemon(addresses[i]);
    if (fd.ok()) return std::pair(*fd, addresses[i]);
    // A socket that is somebody else's matters more than one that is not there.
    if (first.ok() || fd.status().code() == Code::kPermissionDenied) first = fd.status();
  }
  return first;
}

// Becomes the daemon: nothing of the caller's stays open but `report`, which tells a failed exec.
[[noreturn]] void BecomeDaemon(const std::string& path, int report) {
  setsid();
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  const int keep = dup2(report, 3);
  fcntl(keep, F_SETFD, FD_CLOEXEC);
  if (syscall(SYS_close_range, 4u, ~0u, 0u) != 0) {
    for (int fd = 4; fd < 1024; ++fd) close(fd);
  }
  // What watches the caller through it would wait for the daemon, too, which outlives them both.
  unsetenv("LD_PRELOAD");
  if (chdir("/") == 0) {
    execl(path.c_str(), "flexaid", "--user", nullptr);
    execlp("flexaid", "flexaid", "--user", nullptr);
  }
  [[maybe_unused]] const ssize_t told = write(keep, &errno, sizeof(errno));
  _exit(127);
}

// Starts `flexaid --user` in a session of its own; returns when it has gone its way.
Status StartDaemon() {
  char own[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
  std::string path = "flexaid";
  if (length > 0) {
    path = std::string(own, static_cast<size_t>(length));
    path = path.substr(0, path.rfind('/')) + "/flexaid";
  }
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return ErrnoStatus(Code::kUnavailable, "cannot make a pipe");
  const pid_t child = fork();
  if (child == 0) {
    if (fork() != 0) _exit(0);
    BecomeDaemon(path, report[1]);
  }
  close(report[1]);
  int error = child < 0 ? errno : 0;
  while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  // Closed without a word: the daemon runs.
  if (child > 0 && read(report[0], &error, sizeof(error)) < 0) error = errno;
  close(report[0]);
  if (error == 0) return Status();
  return Status(Code::kUnavailable, "cannot start " + path + ": " + std::strerror(error),
                "install flexaid beside flexai, or start it as a service");
}

}  // namespace

Result<Client> Client::Connect(bool start_if_missing) {
  auto connected = ConnectAny();
  if (!connected.ok() && connected.status().code() == Code::kUnavailable && start_if_missing) {
    FLEXAI_RETURN_IF_ERROR(StartDaemon());
    const Nanos deadline = MonotonicNow() + kStartTimeout;
    while (!connected.ok() && MonotonicNow() < deadline) {
      poll(nullptr, 0, 5);
      connected = ConnectAny();
    }
  }
  if (!connected.ok()) return connected.status();
  return Client(connected->first, connected->second);
}

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)) {}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  return *this;
}

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

Result<nlohmann::json> Client::Call(const nlohmann::json& request, int pass_fd) {
  const std::string text = JsonText(request);
  FLEXAI_RETURN_IF_ERROR(slice::SendFrame(fd_, slice::FrameType::kRequest, text.data(),
                                          static_cast<uint32_t>(text.size()), pass_fd));
  return Next();
}

Result<nlohmann::json> Client::Next() {
  Result<slice::Frame> frame = slice::ReceiveFrame(fd_, -1);
  if (!frame.ok()) return frame.status();
  if (frame->fd >= 0) close(frame->fd);
  nlohmann::json reply = ParseJson(frame->data);
  if (!reply.is_object()) return Status(Code::kDataLoss, "the daemon's answer is not JSON");
  const auto error = reply.find("error");
  if (error == reply.end()) return reply;
  const auto text = [&](const char* name) {
    const auto found = error->find(name);
    return found != error->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  return Status(CodeFromName(text("code")), text("message"), text("hint"));
}

}  // namespace flexai::operate
