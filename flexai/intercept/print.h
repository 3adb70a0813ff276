// A call as one line of text: "clCreateBuffer(context=0x55d0, flags=4, size=1024, host_ptr=null) =
// 0x55e0". A template over VisitParams; the writing itself is in print.cpp.
#pragma once

#include "flexai/intercept/param.h"

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

/// Visitor that prints each parameter. Memory behind pointers is read only if `follow`: after a
/// call that failed, nobody has checked those pointers, and out parameters hold nothing.
struct PrintParam {
  LineWriter& line;
  bool follow;
  bool first = true;

  static constexpr uint64_t kShown = 4;     // elements of an array
  static constexpr size_t kShownText = 48;  // bytes of a string

  template <class T>
  void Value(const T& value) {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return line.Text("null");
      line.Hex(reinterpret_cast<uintptr_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      if constexpr (std::is_signed_v<T>) {
        line.Signed(value);
      } else {
        line.Unsigned(value);
      }
    } else {
      line.Text("{...}");
    }
  }

  template <class Tag, class T>
  void operator()(Tag tag, T& field) {
    if (!first) line.Text(", ");
    first = false;
    line.Text(Tag::kInfo.name);
    line.Text("=");
    Field(tag, field);
  }

  template <class Tag, class T>
  void Field([[maybe_unused]] Tag tag, T& field) {
    constexpr Shape kShape = Tag::kInfo.shape;
    if constexpr (kShape == Shape::kOne || kShape == Shape::kArray) {
      if (!field || !follow) return Value(static_cast<const void*>(field));
      uint64_t count = kShape == Shape::kOne ? 1 : tag.Count();
      if (tag.Filled() < count) count = tag.Filled();
      if (kShape == Shape::kArray) line.Text("[");
      for (uint64_t i = 0; i < count && i < kShown; ++i) {
        if (i > 0) line.Text(", ");
        Value(field[i]);
      }
      if (kShape == Shape::kArray) line.Text(count > kShown ? ", ...]" : "]");
    } else if constexpr (kShape == Shape::kCString) {
      if (!field) return line.Text("null");
      line.Quoted(reinterpret_cast<const char*>(field), kShownText);
    } else if constexpr (kShape == Shape::kBytes || kShape == Shape::kStrings ||
                         kShape == Shape::kBlobs) {
      Value(field);
      if (!field) return;
      line.Text("(");
      line.Unsigned(tag.Count());
      line.Text(")");
    } else if constexpr (kShape == Shape::kList0) {
      if (!field || !follow) return Value(static_cast<const void*>(field));
      line.Text("[");
      for (int i = 0; field[i] != 0 && i < 16; i += 2) {
        if (i > 0) line.Text(", ");
        line.Hex(static_cast<uint64_t>(field[i]));
        line.Text(": ");
        line.Hex(static_cast<uint64_t>(field[i + 1]));
      }
      line.Text("]");
    } else if constexpr (Tag::kInfo.handle_kind != 0 && !std::is_pointer_v<T>) {
      line.Hex(ToWord(field));
    } else {
      Value(field);
    }
  }
};

/// "name(parameters) = result" in at most `size` bytes; returns the length without the final zero.
template <class C>
size_t PrintCall(C& call, const char* name, bool follow, char* out, size_t size) {
  LineWriter line(out, size);
  line.Text(name);
  line.Text("(");
  PrintParam print{line, follow};
  call.VisitParams(print);
  line.Text(")");
  if constexpr (C::kReturns != Returns::kVoid) {
    line.Text(" = ");
    if constexpr (std::is_pointer_v<decltype(call.result)>) {
      print.Value(static_cast<const void*>(call.result));
    } else {
      print.Value(call.result);
    }
  }
  return line.length();
}

}  // namespace flexai::intercept
