#include "flexai/operate/client.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "flexai/base/clock.h"
#include "flexai/slice/attach.h"

namespace flexai::operate {
namespace {

constexpr Nanos kStartTimeout = 10 * kSecond;

Result<std::pair<int, std::string>> ConnectAny() {
  std::string addresses[3];
  const int count = slice::DaemonAddresses(addresses);
  Status first;
  for (int i = 0; i < count; ++i) {
    Result<int> fd = slice::ConnectDaemon(addresses[i]);
    if (fd.ok()) return std::pair(*fd, addresses[i]);
    // A socket that is somebody else's matters more than one that is not there.
    if (first.ok() || fd.status().code() == Code::kPermissionDenied) first = fd.status();
  }
  return first;
}

// Starts `flexaid --user` in a session of its own; returns when it has gone its way.
Status StartDaemon() {
  char own[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
  std::string beside = "flexaid";
  if (length > 0) {
    beside = std::string(own, static_cast<size_t>(length));
    beside = beside.substr(0, beside.rfind('/')) + "/flexaid";
  }
  const pid_t child = fork();
  if (child < 0) return ErrnoStatus(Code::kUnavailable, "cannot start flexaid");
  if (child == 0) {
    if (fork() != 0) _exit(0);
    setsid();
    const int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
    if (chdir("/") != 0) _exit(127);
    execl(beside.c_str(), "flexaid", "--user", nullptr);
    execlp("flexaid", "flexaid", "--user", nullptr);
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return Status();
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
  const std::string text = request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  FLEXAI_RETURN_IF_ERROR(slice::SendFrame(fd_, slice::FrameType::kRequest, text.data(),
                                          static_cast<uint32_t>(text.size()), pass_fd));
  return Next();
}

Result<nlohmann::json> Client::Next() {
  Result<slice::Frame> frame = slice::ReceiveFrame(fd_, -1);
  if (!frame.ok()) return frame.status();
  if (frame->fd >= 0) close(frame->fd);
  nlohmann::json reply = nlohmann::json::parse(frame->data, nullptr, /*allow_exceptions=*/false);
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
