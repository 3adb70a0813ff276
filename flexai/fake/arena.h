// The memory of the pretend card: a range of addresses of which every byte handed out is counted.
// An address of the arena is also the host's, so that copies are memcpy.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace flexai::fake {

/// Thread: any; takes its own lock.
class Arena {
 public:
  /// Units: bytes; `alignment` is a power of two, and sizes are rounded up to it.
  Arena(uint64_t capacity, uint64_t alignment);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Zeroed memory, or null where no gap is large enough. At least one unit of alignment.
  void* Allocate(uint64_t bytes);
  /// False if nothing was allocated at `address`; nothing happens then.
  bool Free(void* address);
  /// What the piece at `address` counts for; 0 if there is none.
  uint64_t SizeOf(const void* address) const;

  uint64_t capacity() const { return capacity_; }
  uint64_t used() const;
  uint64_t peak() const;

 private:
  uint64_t Rounded(uint64_t bytes) const { return (bytes + alignment_ - 1) & ~(alignment_ - 1); }
  void JoinFreeLocked(uint64_t offset, uint64_t size);

  const uint64_t capacity_;
  const uint64_t alignment_;
  char* base_ = nullptr;
  mutable std::mutex mu_;              // guards what follows
  std::map<uint64_t, uint64_t> free_;  // offset -> size, never two that touch
  std::map<uint64_t, uint64_t> taken_;
  uint64_t used_ = 0;
  uint64_t peak_ = 0;
};

}  // namespace flexai::fake
