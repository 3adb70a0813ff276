#include "flexai/slice/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace flexai::slice {
namespace {

// A peer that cut the file short would end everyone who has mapped it.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

RegionMap& RegionMap::operator=(RegionMap&& other) noexcept {
  std::swap(region_, other.region_);
  std::swap(fd_, other.fd_);
  return *this;
}

RegionMap::~RegionMap() {
  if (region_) munmap(region_, sizeof(Region));
  if (fd_ >= 0) close(fd_);
}

Region* RegionMap::Leak() {
  fd_ = -1;
  return std::exchange(region_, nullptr);
}

Result<RegionMap> RegionMap::Create(const std::string& slice) {
  RegionMap map;
  // The bare call: the wrapper is younger than the oldest C library that tenants may have.
  map.fd_ = static_cast<int>(
      syscall(SYS_memfd_create, "flexai-region", 3u /* MFD_CLOEXEC | MFD_ALLOW_SEALING */));
  if (map.fd_ < 0) return ErrnoStatus(Code::kInternal, "cannot make a region");
  if (ftruncate(map.fd_, sizeof(Region)) != 0) {
    return ErrnoStatus(Code::kInternal, "cannot size a region");
  }
  if (fcntl(map.fd_, F_ADD_SEALS, kSeals) != 0) {
    return ErrnoStatus(Code::kInternal, "cannot seal a region");
  }
  void* at = mmap(nullptr, sizeof(Region), PROT_READ | PROT_WRITE, MAP_SHARED, map.fd_, 0);
  if (at == MAP_FAILED) return ErrnoStatus(Code::kInternal, "cannot map a region");
  map.region_ = static_cast<Region*>(at);
  RegionHeader& header = map.region_->header;
  header.version = kRegionVersion;
  header.size = sizeof(Region);
  header.max_processes = kMaxProcesses;
  strncpy(header.slice, slice.c_str(), sizeof(header.slice) - 1);
  header.magic = kRegionMagic;
  return map;
}

Result<RegionMap> RegionMap::Open(int fd) {
  RegionMap map;
  map.fd_ = fd;
  struct stat info;
  if (fstat(fd, &info) != 0 || info.st_size < static_cast<off_t>(sizeof(RegionHeader))) {
    return Status(Code::kDataLoss, "the file that was passed is not a region");
  }
  if (fcntl(fd, F_GET_SEALS) != kSeals) {
    return Status(Code::kDataLoss, "the file that was passed is not a region: its size may change");
  }
  const bool whole = info.st_size == static_cast<off_t>(sizeof(Region));
  const size_t size = whole ? sizeof(Region) : sizeof(RegionHeader);
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return ErrnoStatus(Code::kInternal, "cannot map a region");
  const auto* region = static_cast<Region*>(at);
  Status error;
  if (region->header.magic != kRegionMagic) {
    error = Status(Code::kDataLoss, "the file that was passed is not a region");
  } else if (region->header.version != kRegionVersion || !whole) {
    error = Status(Code::kFailedPrecondition,
                   "region version " + std::to_string(region->header.version) +
                       " does not fit this program, which knows " + std::to_string(kRegionVersion),
                   "use the library and the daemon of one release");
  }
  if (!error.ok()) {
    munmap(at, size);
    return error;
  }
  map.region_ = static_cast<Region*>(at);
  return map;
}

uint64_t HeldBytes(const ProcessSlot& slot) {
  const uint64_t booked = slot.booked.load(std::memory_order_relaxed);
  const uint64_t advance = slot.advance.load(std::memory_order_relaxed);
  return slot.used.load(std::memory_order_seq_cst) + std::max(booked, advance);
}

uint64_t UsedBytes(const Region& region) {
  uint64_t total = 0;
  const uint32_t slots = region.header.slots_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < slots && i < kMaxProcesses; ++i) {
    total += HeldBytes(region.slots[i]);
  }
  return total;
}

bool HasBookings(const Region& region) {
  const uint64_t context = region.header.context_bytes.load(std::memory_order_relaxed);
  const uint32_t slots = region.header.slots_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < slots && i < kMaxProcesses; ++i) {
    if (region.slots[i].booked.load(std::memory_order_relaxed) > context) return true;
  }
  return false;
}

bool InOwnWindow(const RegionHeader& header, Nanos now) {
  const Nanos period = header.window_period.load(std::memory_order_relaxed);
  if (period <= 0) return false;
  const Nanos at = now % period - header.window_begin.load(std::memory_order_relaxed);
  return at >= 0 && at < header.window_length.load(std::memory_order_relaxed);
}

void FutexWait(const std::atomic<uint32_t>& word, uint32_t seen, Nanos timeout, uint32_t groups) {
  const Nanos end = MonotonicNow() + timeout;  // this form takes a moment, not a length
  const timespec limit = {static_cast<time_t>(end / kSecond), static_cast<long>(end % kSecond)};
  const int saved = errno;
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, seen, &limit, nullptr, groups);
  errno = saved;
}

void FutexWake(const std::atomic<uint32_t>& word, uint32_t groups) {
  const int saved = errno;
  syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, 0x7fffffff, nullptr, nullptr, groups);
  errno = saved;
}

}  // namespace flexai::slice
