#include "flexai/intercept/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "flexai/base/clock.h"
#include "flexai/base/log.h"

namespace flexai::intercept {
namespace {

// What a thread is writing to. Plain data in static TLS: no constructor, no allocation.
struct Place {
  const TraceStage* owner;
  TraceChunkHeader* chunk;
  uint32_t used;
  uint32_t generation;
};
thread_local Place t_place __attribute__((tls_model("initial-exec"))) = {};

// Gives a thread's chunk back to the system when the thread ends; what it holds stays in the file.
constinit std::atomic<bool> g_key_made{false};
pthread_key_t g_key;
void AtThreadEnd(void* chunk) {
  munmap(chunk, kTraceChunkBytes);
  t_place = {};
}

// A forked child must leave its parent's chunks alone.
constinit std::atomic<uint32_t> g_generation{1};
constinit std::atomic<bool> g_watched{false};
void AfterForkInChild() { g_generation.fetch_add(1, std::memory_order_relaxed); }

uint32_t DigestOf(const LibraryInfo& library) {
  uint32_t digest = 0x811c9dc5u;
  for (uint16_t i = 0; i < library.count; ++i) {
    digest = (digest ^ library.functions[i].id) * 0x01000193u;
  }
  return digest;
}

std::string NamesOf(const LibraryInfo& library) {
  std::string names;
  for (uint16_t i = 0; i < library.count; ++i) {
    names += library.functions[i].name;
    names += '\0';
  }
  return names;
}

uint32_t FirstChunkAfter(size_t names_bytes) {
  const size_t bytes = sizeof(TraceFileHeader) + names_bytes;
  return static_cast<uint32_t>((bytes + kTraceChunkBytes - 1) / kTraceChunkBytes *
                               kTraceChunkBytes);
}

std::string WithPid(const std::string& path) {
  std::string out = path;
  const size_t at = out.find("%p");
  if (at != std::string::npos) out.replace(at, 2, std::to_string(getpid()));
  return out;
}

// Programs close or reuse low descriptors without asking; ours stands aside where it can.
int MoveAside(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 200);
  if (moved < 0) moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (moved < 0) return fd;
  close(fd);
  return moved;
}

}  // namespace

TraceStage::~TraceStage() {
  if (t_place.owner == this)
    t_place.owner = nullptr;  // its chunk goes with the next one, or with the thread
  if (header_) munmap(header_, header_->first_chunk);
  if (lock_fd_ >= 0) close(lock_fd_);
}

Status TraceStage::Create(const LibraryInfo& library, int fd) {
  const std::string names = NamesOf(library);
  const uint32_t first = FirstChunkAfter(names.size());
  if (ftruncate(fd, 0) != 0) return ErrnoStatus(Code::kUnavailable, "cannot empty " + path_);
  if (const int error = posix_fallocate(fd, 0, first)) {
    errno = error;
    return ErrnoStatus(Code::kUnavailable, "cannot grow " + path_, "free some disk space");
  }
  void* at = mmap(nullptr, first, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return ErrnoStatus(Code::kUnavailable, "cannot map " + path_);
  header_ = new (at) TraceFileHeader{};
  header_->version = kTraceVersion;
  header_->chunk_bytes = kTraceChunkBytes;
  header_->first_chunk = first;
  header_->functions = library.count;
  header_->digest = DigestOf(library);
  header_->names_bytes = static_cast<uint32_t>(names.size());
  header_->monotonic_ns = MonotonicNow();
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  header_->realtime_ns = static_cast<int64_t>(wall.tv_sec) * kSecond + wall.tv_nsec;
  strncpy(header_->library, library.name, sizeof header_->library - 1);
  memcpy(static_cast<char*>(at) + sizeof(TraceFileHeader), names.data(), names.size());
  // Last: a file with the magic is complete.
  memcpy(header_->magic, kTraceMagic, sizeof kTraceMagic);
  return Status();
}

Status TraceStage::Attach(const LibraryInfo& library, int fd) {
  const uint32_t first = FirstChunkAfter(NamesOf(library).size());
  struct stat file;
  const Status foreign(Code::kFailedPrecondition, path_ + " is written by another library");
  if (fstat(fd, &file) != 0 || file.st_size < static_cast<off_t>(first)) return foreign;
  void* at = mmap(nullptr, first, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return ErrnoStatus(Code::kUnavailable, "cannot map " + path_);
  header_ = static_cast<TraceFileHeader*>(at);
  if (memcmp(header_->magic, kTraceMagic, sizeof kTraceMagic) == 0 &&
      header_->version == kTraceVersion && header_->first_chunk == first &&
      header_->digest == DigestOf(library)) {
    return Status();
  }
  munmap(at, first);
  header_ = nullptr;
  return foreign;
}

Result<std::unique_ptr<TraceStage>> TraceStage::Open(const LibraryInfo& library,
                                                     const std::string& path, bool text) {
  std::string name = WithPid(path);
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::unique_ptr<TraceStage> stage(new TraceStage(name, text));
    int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
      return ErrnoStatus(Code::kUnavailable, "cannot open trace file " + name,
                         "set FLEXAI_TRACE to a file in a folder you may write to");
    }
    fd = MoveAside(fd);
    stage->lock_fd_ = fd;
    struct stat file;
    if (fstat(fd, &file) != 0) return ErrnoStatus(Code::kUnavailable, "cannot read " + name);
    stage->device_ = file.st_dev;
    stage->inode_ = file.st_ino;
    // Whoever gets the file alone begins it anew; the others find it complete once they get the
    // shared lock.
    const bool alone = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!alone && flock(fd, LOCK_SH) != 0) {
      return ErrnoStatus(Code::kUnavailable, "cannot lock " + name);
    }
    const Status status = alone ? stage->Create(library, fd) : stage->Attach(library, fd);
    if (alone) flock(fd, LOCK_SH);
    if (status.ok()) {
      if (!g_watched.exchange(true)) {
        pthread_atfork(nullptr, nullptr, &AfterForkInChild);
        g_key_made = pthread_key_create(&g_key, &AtThreadEnd) == 0;
      }
      return stage;
    }
    if (status.code() != Code::kFailedPrecondition) return status;
    name += "." + std::to_string(getpid());
  }
  return Status(Code::kUnavailable, "no trace file could be had for " + path);
}

std::unique_ptr<TraceStage> TraceStage::FromEnvironment(const LibraryInfo& library) {
  const char* path = secure_getenv("FLEXAI_TRACE");
  if (!path || !*path) return nullptr;
  const char* args = secure_getenv("FLEXAI_TRACE_ARGS");
  Result<std::unique_ptr<TraceStage>> stage = Open(library, path, args && strcmp(args, "1") == 0);
  if (stage.ok()) return std::move(stage).value();
  Notice("trace: %s; calls are not recorded", stage.status().ToString().c_str());
  return nullptr;
}

TraceChunkHeader* TraceStage::NewChunk() {
  // By path, not by a kept descriptor: the program may have closed ours and opened something else
  // there.
  const int fd = open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  struct stat file;
  if (fd < 0 || fstat(fd, &file) != 0 || file.st_dev != device_ || file.st_ino != inode_) {
    if (fd >= 0) close(fd);
    return nullptr;
  }
  const uint64_t number = header_->chunks.fetch_add(1, std::memory_order_relaxed);
  const off_t offset = static_cast<off_t>(header_->first_chunk + number * kTraceChunkBytes);
  void* at = MAP_FAILED;
  if (posix_fallocate(fd, offset, kTraceChunkBytes) == 0) {
    at = mmap(nullptr, kTraceChunkBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  }
  close(fd);
  if (at == MAP_FAILED) return nullptr;
  auto* chunk = static_cast<TraceChunkHeader*>(at);
  chunk->pid = static_cast<uint32_t>(getpid());
  chunk->tid = static_cast<uint32_t>(syscall(SYS_gettid));
  return chunk;
}

bool TraceStage::Before(Call& call) {
  call.scratch() = static_cast<uint64_t>(MonotonicNow());
  return true;
}

void TraceStage::After(Call& call) {
  const int64_t start = static_cast<int64_t>(call.scratch());
  const int64_t end = MonotonicNow();
  char text[kTraceTextMost + 8] = {};
  const uint32_t text_bytes = text_ ? static_cast<uint32_t>(call.Print(text, kTraceTextMost)) : 0;
  const uint32_t need = static_cast<uint32_t>(sizeof(TraceRecord)) + TracePadded(text_bytes);
  const uint32_t generation = g_generation.load(std::memory_order_relaxed);
  Place& place = t_place;
  if (place.owner != this || place.generation != generation ||
      sizeof(TraceChunkHeader) + place.used + need > kTraceChunkBytes) {
    if (broken_.load(std::memory_order_relaxed)) return;
    if (place.chunk) munmap(place.chunk, kTraceChunkBytes);
    place = {this, NewChunk(), 0, generation};
    if (g_key_made) pthread_setspecific(g_key, place.chunk);
    if (!place.chunk) {
      place = {};
      if (!broken_.exchange(true)) {
        Notice("trace: cannot grow %s; later calls are not recorded", path_.c_str());
      }
      return;
    }
  }
  uint16_t flags = call.ok() ? 0 : kTraceFailed;
  if (call.refused()) flags |= kTraceRefused;
  char* at = reinterpret_cast<char*>(place.chunk + 1) + place.used;
  const TraceRecord record = {start, end - start, call.charge(), call.info().index,
                              flags, text_bytes};
  memcpy(at, &record, sizeof record);
  memcpy(at + sizeof record, text, TracePadded(text_bytes));
  place.used += need;
  place.chunk->used.store(place.used, std::memory_order_release);
}

}  // namespace flexai::intercept
