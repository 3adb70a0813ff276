// The layout of a trace file, shared by the writing stage and the reader. Described in
// docs/formats/trace.md; a change here is a new kTraceVersion there.
#pragma once

#include <atomic>
#include <cstdint>

namespace flexai::intercept {

inline constexpr char kTraceMagic[8] = {'F', 'L', 'X', 'T', 'R', 'A', 'C', 'E'};
inline constexpr uint32_t kTraceVersion = 1;
inline constexpr uint32_t kTraceChunkBytes = 64 * 1024;
inline constexpr uint32_t kTraceTextMost = 240;  // printed parameters are cut here

/// The start of the file; names of functions follow, zero-terminated, in the order of their
/// indices.
struct TraceFileHeader {
  char magic[8];
  uint32_t version;
  uint32_t chunk_bytes;
  uint32_t first_chunk;  // offset of chunk 0, a multiple of chunk_bytes
  uint32_t functions;
  uint32_t digest;  // of all function ids: processes share a file only if theirs is the same
  uint32_t names_bytes;
  int64_t monotonic_ns;  // the same moment on two clocks: record times are on the first
  int64_t realtime_ns;
  std::atomic<uint64_t> chunks;  // handed out so far, over all processes
  char library[32];
};

/// The start of each chunk; one thread of one process writes it.
struct TraceChunkHeader {
  uint32_t pid;
  uint32_t tid;
  std::atomic<uint32_t> used;  // bytes of whole records behind this header
  uint32_t reserved;
};

enum TraceFlags : uint16_t { kTraceFailed = 1, kTraceRefused = 2 };

/// One call. `text_bytes` bytes of text follow, padded to a multiple of 8.
struct TraceRecord {
  int64_t start_ns;
  int64_t duration_ns;
  uint64_t bytes;  // charge of the call
  uint16_t index;
  uint16_t flags;
  uint32_t text_bytes;
};

static_assert(sizeof(TraceFileHeader) == 88);
static_assert(sizeof(TraceChunkHeader) == 16);
static_assert(sizeof(TraceRecord) == 32);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

constexpr uint32_t TracePadded(uint32_t bytes) { return (bytes + 7u) & ~7u; }

}  // namespace flexai::intercept
