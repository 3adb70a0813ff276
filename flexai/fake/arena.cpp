#include "flexai/fake/arena.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace flexai::fake {

Arena::Arena(uint64_t capacity, uint64_t alignment) : capacity_(capacity), alignment_(alignment) {
  void* at = mmap(nullptr, capacity, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return;  // a card without memory: every allocation is refused
  base_ = static_cast<char*>(at);
  free_[0] = capacity & ~(alignment - 1);
}

Arena::~Arena() {
  if (base_) munmap(base_, capacity_);
}

void* Arena::Allocate(uint64_t bytes) {
  if (bytes > capacity_) return nullptr;
  const uint64_t size = Rounded(bytes ? bytes : 1);
  std::lock_guard<std::mutex> lock(mu_);
  for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
    if (gap->second < size) continue;
    const uint64_t offset = gap->first;
    const uint64_t left = gap->second - size;
    free_.erase(gap);
    if (left > 0) free_[offset + size] = left;
    taken_[offset] = size;
    used_ += size;
    if (used_ > peak_) peak_ = used_;
    return base_ + offset;
  }
  return nullptr;
}

void Arena::JoinFreeLocked(uint64_t offset, uint64_t size) {
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + size == next->first) {
    size += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_[offset] = size;
}

bool Arena::Free(void* address) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto piece = taken_.find(static_cast<uint64_t>(static_cast<char*>(address) - base_));
  if (!base_ || piece == taken_.end()) return false;
  const uint64_t offset = piece->first;
  const uint64_t size = piece->second;
  // The next owner finds zeros, and whole pages go back to the host.
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = (offset + page - 1) & ~(page - 1);
  const uint64_t last = (offset + size) & ~(page - 1);
  if (first < last) {
    memset(base_ + offset, 0, first - offset);
    madvise(base_ + first, last - first, MADV_DONTNEED);
    memset(base_ + last, 0, offset + size - last);
  } else {
    memset(base_ + offset, 0, size);
  }
  taken_.erase(piece);
  used_ -= size;
  JoinFreeLocked(offset, size);
  return true;
}

uint64_t Arena::SizeOf(const void* address) const {
  std::lock_guard<std::mutex> lock(mu_);
  const auto piece = taken_.find(static_cast<uint64_t>(static_cast<const char*>(address) - base_));
  return piece == taken_.end() ? 0 : piece->second;
}

uint64_t Arena::used() const {
  std::lock_guard<std::mutex> lock(mu_);
  return used_;
}

uint64_t Arena::peak() const {
  std::lock_guard<std::mutex> lock(mu_);
  return peak_;
}

}  // namespace flexai::fake
