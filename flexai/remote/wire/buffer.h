// Bytes of one message: a writer that grows, a reader that never goes past the end, and the memory
// that decoded parameters live in. All three stop at limits that their owner sets, because the
// lengths in a message come from a stranger.
#pragma once

#include <stddef.h>
#include <string.h>

#include <cstdint>
#include <type_traits>

namespace flexai::remote::wire {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(void*) == 8,
              "numbers are copied as they lie in memory: little endian, words of 64 bits");

/// The longest message.
inline constexpr uint64_t kMostMessageBytes = uint64_t{1} << 30;

/// A message being written. Once memory or room has run out, ok() is false and nothing more is
/// written. Thread: one at a time.
class Writer {
 public:
  Writer() = default;
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool ok() const { return ok_; }
  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }
  /// Empties it and keeps its memory.
  void Clear();

  void Bytes(const void* from, uint64_t bytes);
  template <class T>
  void Number(T value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    Bytes(&value, sizeof value);
  }

 private:
  uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
  uint64_t room_ = 0;
  bool ok_ = true;
};

/// A message being read; the bytes stay the caller's. Thread: one at a time.
class Reader {
 public:
  Reader(const void* data, uint64_t size)
      : at_(static_cast<const uint8_t*>(data)), end_(at_ ? at_ + size : at_) {}

  uint64_t remaining() const { return static_cast<uint64_t>(end_ - at_); }
  /// The next `bytes`, or null where fewer are left.
  const uint8_t* Take(uint64_t bytes) {
    if (bytes > remaining()) return nullptr;
    const uint8_t* taken = at_;
    at_ += bytes;
    return taken;
  }
  /// False, and `value` untouched, at the end.
  template <class T>
  bool Number(T* value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    const uint8_t* from = Take(sizeof *value);
    if (!from) return false;
    memcpy(value, from, sizeof *value);
    return true;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

/// Zeroed memory for the parameters of one call; all of it goes with the object.
/// Thread: one at a time.
class Memory {
 public:
  /// Every piece is followed by this many zero bytes. A count in a table may read an element behind
  /// a pointer (`region[2]`) whose array a message sends too short; it then reads a zero, and the
  /// array is refused for its length.
  static constexpr uint64_t kSlackBytes = 256;

  explicit Memory(uint64_t limit_bytes) : left_(limit_bytes) {}
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Null once the limit or the machine's memory is spent.
  void* Take(uint64_t bytes);

 private:
  struct Piece {
    Piece* next;
    uint64_t bytes;  // keeps what follows aligned to 16
  };
  Piece* pieces_ = nullptr;
  uint64_t left_;
};

}  // namespace flexai::remote::wire
