// Reads trace files back: for `flexai trace FILE` and for tests. Trusts nothing in the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::intercept {

/// One recorded call.
struct TracedCall {
  int64_t start_ns = 0;  // on the host's monotonic clock
  int64_t duration_ns = 0;
  uint64_t bytes = 0;
  uint32_t pid = 0;
  uint32_t tid = 0;
  uint16_t index = 0;
  bool failed = false;
  bool refused = false;
  std::string text;  // printed parameters; empty unless they were asked for
};

struct Trace {
  std::string library;
  int64_t monotonic_ns = 0;  // the beginning, on two clocks
  int64_t realtime_ns = 0;
  std::vector<std::string> functions;
  std::vector<TracedCall> calls;  // by start
  uint64_t damaged_chunks = 0;    // skipped, because their records make no sense
};

/// What all calls of one function come to.
struct TraceSum {
  std::string function;
  uint64_t count = 0;
  uint64_t failed = 0;
  uint64_t bytes = 0;
  int64_t total_ns = 0;
  int64_t p50_ns = 0;
  int64_t p99_ns = 0;
  int64_t max_ns = 0;
};

/// Errors: kNotFound (no such file); kInvalidArgument (no trace, or of another version).
Result<Trace> ReadTrace(const std::string& path);

/// One line per function that was called, the one with most time first.
std::vector<TraceSum> SumUp(const Trace& trace);

}  // namespace flexai::intercept
