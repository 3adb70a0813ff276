// A call as one line of text: "clCreateBuffer(context=0x55d0, flags=4, size=1024, host_ptr=null) =
// 0x55e0".
#pragma once

#include <stddef.h>

#include <cstdint>
#include <span>

#include "flexai/intercept/fields.h"

namespace flexai::intercept {

/// Text that grows up to a fixed size; what does not fit is cut, and the end is always a zero.
/// Thread: one.
class LineWriter {
 public:
  LineWriter(char* out, size_t size) : out_(out), size_(size) {
    if (size_ > 0) out_[0] = 0;
  }
  void Text(const char* text);
  /// At most `length` bytes of `text` in quotes, unprintable ones as dots; stops at a zero.
  void Quoted(const char* text, size_t length);
  void Signed(int64_t value);
  void Unsigned(uint64_t value);
  void Hex(uint64_t value);
  size_t length() const { return length_; }

 private:
  void Put(char c);
  char* out_;
  size_t size_;
  size_t length_ = 0;
};

/// "name(parameters) = result" as far as it fits into `out`; returns the length without the final
/// zero. Memory behind pointers is read only if `follow`: after a call that failed, nobody has
/// checked those pointers, and out parameters hold nothing.
size_t PrintCall(const Fields& fields, const void* params, const char* name, bool follow,
                 std::span<char> out);

}  // namespace flexai::intercept
