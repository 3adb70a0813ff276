// A connection of people's tools to the daemon: JSON requests and replies over its socket.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "flexai/base/status.h"

namespace flexai::operate {

class Client {
 public:
  /// Connects to the first daemon that answers; with `start_if_missing`, starts one for this user.
  /// Errors: kUnavailable (none answers); kPermissionDenied (the socket is somebody else's).
  static Result<Client> Connect(bool start_if_missing);

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  /// Sends a request, with `pass_fd` if it is not negative, and waits for the answer.
  /// Errors: what the daemon says; kUnavailable (it went away); kDataLoss (no JSON).
  Result<nlohmann::json> Call(const nlohmann::json& request, int pass_fd = -1);
  /// Waits for a further answer to the last request.
  Result<nlohmann::json> Next();

  const std::string& socket() const { return address_; }

 private:
  Client(int fd, std::string address) : fd_(fd), address_(std::move(address)) {}

  int fd_ = -1;
  std::string address_;
};

}  // namespace flexai::operate
