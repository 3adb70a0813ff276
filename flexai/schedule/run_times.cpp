#include "flexai/schedule/run_times.h"

#include <algorithm>
#include <bit>

namespace flexai::schedule {
namespace {

// The bucket of a time: its doublings, and the two bits below the highest.
size_t Bucket(int64_t run_s) {
  const auto time =
      static_cast<uint64_t>(std::clamp<int64_t>(run_s, 1, (int64_t{1} << 39) - 1)) * 4;
  const int top = std::max(static_cast<int>(std::bit_width(time)) - 1, 2);
  return static_cast<size_t>(4 * (top - 2)) + (time >> (top - 2) & 3);
}

// The longest time of a bucket.
int64_t Longest(size_t bucket) {
  const int top = static_cast<int>(bucket / 4) + 2;
  const uint64_t next = (uint64_t{4} + bucket % 4 + 1) << (top - 2);
  return static_cast<int64_t>((next - 1) / 4);
}

}  // namespace

void RunTimes::Learn(std::span<const std::string> keys, int64_t run_s) {
  for (const std::string& key : keys) {
    Seen& seen = seen_[key];
    ++seen.jobs;
    ++seen.buckets[Bucket(run_s)];
  }
}

int64_t RunTimes::Estimate(std::span<const std::string> keys, int permille) const {
  for (const std::string& key : keys) {
    const auto found = seen_.find(key);
    if (found == seen_.end() || found->second.jobs < kEnough) continue;
    const Seen& seen = found->second;
    uint64_t ended = 0;
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      ended += seen.buckets[bucket];
      if (ended * 1000 >= uint64_t{seen.jobs} * static_cast<uint64_t>(permille)) {
        return Longest(bucket);
      }
    }
  }
  return 0;
}

}  // namespace flexai::schedule
