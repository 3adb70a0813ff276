#include "flexai/base/status.h"

#include <cerrno>
#include <cstring>

namespace flexai {
namespace {
constexpr std::string_view kNames[] = {
    "ok",        "cancelled",      "unknown",           "invalid_argument",   "deadline_exceeded",
    "not_found", "already_exists", "permission_denied", "resource_exhausted", "failed_precondition",
    "aborted",   "out_of_range",   "unimplemented",     "internal",           "unavailable",
    "data_loss"};
}  // namespace

std::string_view CodeName(Code code) {
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

Code CodeFromName(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<Code>(i);
  }
  return Code::kUnknown;
}

Status::Status(Code code, std::string message, std::string hint)
    : rep_(std::make_shared<const Rep>(Rep{code, std::move(message), std::move(hint)})) {}

std::string Status::ToString() const {
  if (ok()) return "ok";
  if (rep_->hint.empty()) return rep_->message;
  return rep_->message + "; " + rep_->hint;
}

Status ErrnoStatus(Code code, std::string what, std::string hint) {
  const int error = errno;
  return Status(code, std::move(what) + ": " + std::strerror(error), std::move(hint));
}

}  // namespace flexai
