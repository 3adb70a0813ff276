// Generated from api/toy/toy.toml by tools/gen; do not edit.

#include "toy/resolver.h"

#include <string.h>

#include <algorithm>
#include <iterator>

namespace flexai::api::toy {
namespace {

struct Name {
  const char* name;
  int index;
};
constexpr Name kNames[] = {
    {"toyAlloc", 3},
    {"toyAsk", 1},
    {"toyCopyRect", 5},
    {"toyCreateContext", 2},
    {"toyFree", 4},
    {"toyLaunch", 7},
    {"toyListCards", 0},
    {"toyLoad", 6},
    {"toyLookUp", 10},
    {"toyMap", 9},
    {"toySync", 8},
    {"toyVersionEXT", 11},
};

struct Id {
  uint32_t id;
  int index;
};
constexpr Id kIds[] = {
    {0x0bfb6763, 4},
    {0x1277da91, 6},
    {0x14b0c082, 11},
    {0x4966d742, 8},
    {0x4ad34828, 0},
    {0xa13d89be, 3},
    {0xa499487c, 2},
    {0xb939017a, 5},
    {0xba013859, 9},
    {0xbc66bdd3, 10},
    {0xd584865e, 7},
    {0xf29cfcda, 1},
};

constexpr intercept::DoorRow kDoorRows[] = {
    {"toyLookUp", "toyVersion", 11, 0},
};

}  // namespace

int FindByName(const char* door, const char* name) {
  if (const intercept::DoorRows rows = RowsAtDoor(door, name); rows.count > 0) return rows.first->index;
  const Name* at = std::lower_bound(std::begin(kNames), std::end(kNames), name,
      [](const Name& row, const char* asked) { return strcmp(row.name, asked) < 0; });
  return at != std::end(kNames) && strcmp(at->name, name) == 0 ? at->index : -1;
}

int FindById(uint32_t id) {
  const Id* at = std::lower_bound(std::begin(kIds), std::end(kIds), id,
      [](const Id& row, uint32_t asked) { return row.id < asked; });
  return at != std::end(kIds) && at->id == id ? at->index : -1;
}

intercept::DoorRows RowsAtDoor(const char* door, const char* name) {
  return intercept::FindDoorRows(kDoorRows, static_cast<int>(std::size(kDoorRows)), door, name);
}

}  // namespace flexai::api::toy
