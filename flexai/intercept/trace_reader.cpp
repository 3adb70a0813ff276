#include "flexai/intercept/trace_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "flexai/intercept/trace_format.h"

namespace flexai::intercept {
namespace {

// A file as bytes; the mapping is private to this reader and may still grow behind our back, never
// shrink.
class MappedFile {
 public:
  Status Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return ErrnoStatus(Code::kNotFound, "cannot open trace " + path,
                         "record one with FLEXAI_TRACE=" + path);
    }
    struct stat file;
    if (fstat(fd, &file) == 0 && file.st_size > 0) {
      void* at = mmap(nullptr, static_cast<size_t>(file.st_size), PROT_READ, MAP_SHARED, fd, 0);
      if (at != MAP_FAILED) {
        data_ = static_cast<const char*>(at);
        size_ = static_cast<size_t>(file.st_size);
      }
    }
    close(fd);
    if (data_) return Status();
    return Status(Code::kInvalidArgument, path + " is empty or cannot be mapped");
  }
  ~MappedFile() {
    if (data_) munmap(const_cast<char*>(data_), size_);
  }
  const char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

Status ReadHead(const std::string& path, const MappedFile& file, Trace* trace) {
  const Status no_trace(Code::kInvalidArgument, path + " is not a flexai trace");
  if (file.size() < sizeof(TraceFileHeader)) return no_trace;
  const auto* head = reinterpret_cast<const TraceFileHeader*>(file.data());
  if (memcmp(head->magic, kTraceMagic, sizeof kTraceMagic) != 0) return no_trace;
  if (head->version != kTraceVersion) {
    return Status(Code::kInvalidArgument,
                  path + " has trace format " + std::to_string(head->version) + ", this reads " +
                      std::to_string(kTraceVersion),
                  "read it with the flexai that wrote it");
  }
  const uint64_t names_end = sizeof(TraceFileHeader) + uint64_t{head->names_bytes};
  if (head->chunk_bytes != kTraceChunkBytes || names_end > head->first_chunk ||
      head->first_chunk > file.size() || head->functions > 65535) {
    return no_trace;
  }
  const char* at = file.data() + sizeof(TraceFileHeader);
  const char* end = file.data() + names_end;
  for (uint32_t i = 0; i < head->functions; ++i) {
    const size_t length = strnlen(at, static_cast<size_t>(end - at));
    if (at + length == end) return no_trace;
    trace->functions.emplace_back(at, length);
    at += length + 1;
  }
  trace->library.assign(head->library, strnlen(head->library, sizeof head->library));
  trace->monotonic_ns = head->monotonic_ns;
  trace->realtime_ns = head->realtime_ns;
  return Status();
}

// Appends the records of one chunk; false if they make no sense.
bool ReadChunk(const char* data, Trace* trace) {
  const auto* head = reinterpret_cast<const TraceChunkHeader*>(data);
  const uint32_t used = head->used.load(std::memory_order_acquire);
  if (used > kTraceChunkBytes - sizeof(TraceChunkHeader)) return false;
  const char* at = data + sizeof(TraceChunkHeader);
  const char* end = at + used;
  while (at < end) {
    TraceRecord record;
    if (static_cast<size_t>(end - at) < sizeof record) return false;
    memcpy(&record, at, sizeof record);
    at += sizeof record;
    // Space that was never written is zero: no call starts at 0.
    if (record.start_ns <= 0 || record.text_bytes > kTraceTextMost ||
        record.index >= trace->functions.size() ||
        static_cast<size_t>(end - at) < TracePadded(record.text_bytes)) {
      return false;
    }
    TracedCall call;
    call.start_ns = record.start_ns;
    call.duration_ns = record.duration_ns;
    call.bytes = record.bytes;
    call.pid = head->pid;
    call.tid = head->tid;
    call.index = record.index;
    call.failed = (record.flags & kTraceFailed) != 0;
    call.refused = (record.flags & kTraceRefused) != 0;
    call.text.assign(at, record.text_bytes);
    trace->calls.push_back(std::move(call));
    at += TracePadded(record.text_bytes);
  }
  return true;
}

// The smallest value that at least `percent` of all do not exceed (nearest rank).
int64_t Percentile(const std::vector<int64_t>& sorted, size_t percent) {
  const size_t rank = (sorted.size() * percent + 99) / 100;
  return sorted[rank > 0 ? rank - 1 : 0];
}

}  // namespace

Result<Trace> ReadTrace(const std::string& path) {
  MappedFile file;
  FLEXAI_RETURN_IF_ERROR(file.Open(path));
  Trace trace;
  FLEXAI_RETURN_IF_ERROR(ReadHead(path, file, &trace));
  const auto* head = reinterpret_cast<const TraceFileHeader*>(file.data());
  uint64_t offset = head->first_chunk;
  for (; offset + kTraceChunkBytes <= file.size(); offset += kTraceChunkBytes) {
    if (!ReadChunk(file.data() + offset, &trace)) ++trace.damaged_chunks;
  }
  std::stable_sort(
      trace.calls.begin(), trace.calls.end(),
      [](const TracedCall& a, const TracedCall& b) { return a.start_ns < b.start_ns; });
  return trace;
}

std::vector<TraceSum> SumUp(const Trace& trace) {
  std::vector<std::vector<int64_t>> durations(trace.functions.size());
  std::vector<TraceSum> sums(trace.functions.size());
  for (const TracedCall& call : trace.calls) {
    TraceSum& sum = sums[call.index];
    ++sum.count;
    sum.failed += call.failed ? 1 : 0;
    sum.bytes += call.bytes;
    sum.total_ns += call.duration_ns;
    durations[call.index].push_back(call.duration_ns);
  }
  std::vector<TraceSum> out;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].count == 0) continue;
    std::sort(durations[i].begin(), durations[i].end());
    sums[i].function = trace.functions[i];
    sums[i].p50_ns = Percentile(durations[i], 50);
    sums[i].p99_ns = Percentile(durations[i], 99);
    sums[i].max_ns = durations[i].back();
    out.push_back(sums[i]);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const TraceSum& a, const TraceSum& b) { return a.total_ns > b.total_ns; });
  return out;
}

}  // namespace flexai::intercept
