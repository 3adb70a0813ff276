// Status and Result<T>: how every recoverable failure travels in flexai. Codes are numbered as
// gRPC's. The happy path costs a null pointer. Nothing in flexai throws across a folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace flexai {

enum class Code : int32_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

/// The lower-case name of a code ("resource_exhausted"), as it stands in JSON and in api tables.
std::string_view CodeName(Code code);

/// The code with this name, or kUnknown.
Code CodeFromName(std::string_view name);

/// What went wrong: a code, one sentence saying what and why, and one saying what to do.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, std::string hint = "");

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  std::string_view message() const { return rep_ ? std::string_view(rep_->message) : ""; }
  /// What the reader can do about it; may be empty.
  std::string_view hint() const { return rep_ ? std::string_view(rep_->hint) : ""; }
  /// "message; hint" for a line of text; "ok" when there is no error.
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string message;
    std::string hint;
  };
  std::shared_ptr<const Rep> rep_;
};

/// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  const T& value() const& { return *value_; }
  T& value() & { return *value_; }
  T&& value() && { return *std::move(value_); }
  const T& operator*() const& { return *value_; }
  T& operator*() & { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  const T* operator->() const { return &*value_; }
  T* operator->() { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

/// A Status of `code` whose message ends with the text of the current errno.
Status ErrnoStatus(Code code, std::string what, std::string hint = "");

}  // namespace flexai

#define FLEXAI_RETURN_IF_ERROR(expr)                                                           \
  do {                                                                                         \
    if (::flexai::Status flexai_status_ = (expr); !flexai_status_.ok()) return flexai_status_; \
  } while (false)
