#include "flexai/intercept/lookup.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "flexai/base/log.h"

namespace flexai::intercept {
namespace {

uint32_t HashName(const char* name) {
  uint32_t hash = 0x811c9dc5u;
  for (; *name; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 0x01000193u;
  return hash | 1u;  // 0 marks an empty place
}

// Names seen, as hashes. Full means that further names are not mentioned: a program that asks for
// more unknown names than this has been told enough.
constexpr int kPlaces = 256;
constinit std::atomic<uint32_t> g_seen[kPlaces] = {};

bool FirstTime(const char* name) {
  const uint32_t hash = HashName(name);
  for (int i = 0; i < kPlaces; ++i) {
    std::atomic<uint32_t>& place = g_seen[(hash + static_cast<uint32_t>(i)) % kPlaces];
    uint32_t found = place.load(std::memory_order_relaxed);
    if (found == hash) return false;
    if (found == 0 && place.compare_exchange_strong(found, hash, std::memory_order_relaxed)) {
      return true;
    }
    if (found == hash) return false;
  }
  return false;
}

}  // namespace

void NoteUnknownName(const LibraryInfo& library, const char* name) {
  if (!name || !FirstTime(name)) return;
  if (!LogEnabled("intercept", LogLevel::kInfo)) return;
  LogLine("intercept", LogLevel::kInfo,
          "%s: '%.128s' is not in the table; it reaches the driver unseen", library.name, name);
}

DoorRows FindDoorRows(const DoorRow* rows, int count, const char* door, const char* name) {
  const auto order = [](const DoorRow& row, const std::pair<const char*, const char*>& asked) {
    const int by_door = strcmp(row.door, asked.first);
    return by_door != 0 ? by_door < 0 : strcmp(row.name, asked.second) < 0;
  };
  const DoorRow* at = std::lower_bound(rows, rows + count, std::pair(door, name), order);
  DoorRows found = {at, 0};
  for (; at != rows + count && strcmp(at->door, door) == 0 && strcmp(at->name, name) == 0; ++at) {
    ++found.count;
  }
  return found;
}

}  // namespace flexai::intercept
