#include "flexai/schedule/run_times.h"

#include <algorithm>
#include <bit>
#include <iterator>

namespace flexai::schedule {
namespace {

enum Fields : uint8_t { kUser = 1, kImage = 2, kQueue = 4, kSize = 8 };
// From the narrowest kind to all jobs.
constexpr uint8_t kNarrowFirst[] = {
    kUser | kImage | kSize, kUser | kImage, kUser | kSize, kUser, kImage | kSize, kImage,
    kQueue | kSize,         kQueue,         kSize,         0};

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

size_t RunTimes::Hash::operator()(const Key& key) const {
  uint64_t hash = key.fields;
  for (const uint32_t part : {key.kind.user, key.kind.image, key.kind.queue, key.kind.cards}) {
    hash = (hash ^ part) * 0x9E3779B97F4A7C15;
    hash ^= hash >> 32;
  }
  return hash;
}

// Whether the kind has these fields; `key` is it without the others.
bool RunTimes::Narrow(const RunKind& kind, uint8_t fields, Key* key) {
  if ((fields & kUser) != 0 && kind.user == 0) return false;
  if ((fields & kImage) != 0 && kind.image == 0) return false;
  if ((fields & kSize) != 0 && kind.cards == RunKind::kAnyCards) return false;
  *key = {fields,
          {(fields & kUser) != 0 ? kind.user : 0, (fields & kImage) != 0 ? kind.image : 0,
           (fields & kQueue) != 0 ? kind.queue : 0, (fields & kSize) != 0 ? kind.cards : 0}};
  return true;
}

void RunTimes::Count(Seen* seen, int64_t run_s) {
  uint16_t& bucket = seen->buckets[Bucket(run_s)];
  if (bucket == UINT16_MAX) {
    // The proportions stay; what is old counts half from now on.
    seen->jobs = 0;
    for (uint16_t& count : seen->buckets) seen->jobs += count /= 2;
  }
  ++bucket;
  ++seen->jobs;
}

void RunTimes::Learn(const RunKind& kind, int64_t run_s) {
  Key key;
  for (const uint8_t fields : kNarrowFirst) {
    if (!Narrow(kind, fields, &key)) continue;
    const auto known = where_.find(key);
    if (known != where_.end()) {
      seen_.splice(seen_.end(), seen_, known->second);
    } else {
      if (seen_.size() >= most_kinds_) {
        where_.erase(seen_.front().key);
        seen_.pop_front();
      }
      seen_.push_back({.key = key});
      where_.emplace(key, std::prev(seen_.end()));
    }
    Count(&seen_.back(), run_s);
  }
}

int64_t RunTimes::Estimate(const RunKind& kind, int permille) const {
  Key key;
  for (const uint8_t fields : kNarrowFirst) {
    if (!Narrow(kind, fields, &key)) continue;
    const auto found = where_.find(key);
    if (found == where_.end() || found->second->jobs < kEnough) continue;
    const Seen& seen = *found->second;
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
