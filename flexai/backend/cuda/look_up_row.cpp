#include "flexai/backend/cuda/look_up_row.h"

#include <string.h>

#include "cuda/calls.h"
#include "cuda/resolver.h"

namespace flexai::backend::cuda {

namespace api = ::flexai::api::cuda;

namespace {

constexpr const char* kDoor = "cuGetProcAddress";
constexpr uint64_t kPerThreadStream = 2;  // CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM

bool IsPerThread(int index) {
  const char* name = api::kFunctions[index].name;
  const size_t length = strlen(name);
  return length > 5 &&
         (strcmp(name + length - 5, "_ptsz") == 0 || strcmp(name + length - 5, "_ptds") == 0);
}

}  // namespace

int RowOfLookUp(const char* symbol, int version, uint64_t flags, const void* found,
                void* const* driver) {
  const intercept::DoorRows rows = api::RowsAtDoor(kDoor, symbol);
  bool has_per_thread = false;
  for (int i = 0; i < rows.count; ++i) {
    if (driver[rows.first[i].index] == found) return rows.first[i].index;
    has_per_thread |= IsPerThread(rows.first[i].index);
  }
  const bool per_thread = has_per_thread && (flags & kPerThreadStream) != 0;
  int best = -1;
  for (int i = 0; i < rows.count; ++i) {  // the oldest first
    const intercept::DoorRow& row = rows.first[i];
    if (row.since <= version && IsPerThread(row.index) == per_thread) best = row.index;
  }
  return best;
}

bool IsLookedUp(const char* symbol) { return api::RowsAtDoor(kDoor, symbol).count > 0; }

}  // namespace flexai::backend::cuda
