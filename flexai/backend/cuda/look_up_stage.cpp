#include "flexai/backend/cuda/look_up_stage.h"

#include <string.h>

#include "cuda/resolver.h"
#include "flexai/backend/cuda/exported.h"

namespace flexai::backend::cuda {
namespace {

constexpr const char* kDoor = "cuGetProcAddress";
constexpr uint64_t kPerThreadStream = 2;  // CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM

bool IsPerThread(int index) {
  const char* name = api::kFunctions[index].name;
  const size_t length = strlen(name);
  return length > 5 &&
         (strcmp(name + length - 5, "_ptsz") == 0 || strcmp(name + length - 5, "_ptds") == 0);
}

// Some of the driver's own look-up, so that what it returns ends in us again.
void StandInFor(const char* symbol, int version, uint64_t flags, void** function) {
  if (!symbol || !function || !*function) return;
  const int index = RowOfLookUp(symbol, version, flags, *function, api::AsTable(Real()));
  if (index < 0) {
    if (symbol[0]) intercept::NoteUnknownName(api::kLibrary, symbol);
    return;
  }
  const uint16_t row = static_cast<uint16_t>(index);
  if (!g_chassis.Next(kExportedDoor, row)) g_chassis.SetForward(kExportedDoor, row, *function);
  *function = ExportedEntries()[row];
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

bool LookUpStage::Listens(const intercept::FnInfo& info) {
  return info.index == api::CuGetProcAddressCall::kIndex ||
         info.index == api::CuGetProcAddress_v2Call::kIndex;
}

void LookUpStage::After(intercept::Call& call) {
  if (!call.ok()) return;
  if (call.info().index == api::CuGetProcAddressCall::kIndex) {
    const auto& c = call.As<api::CuGetProcAddressCall>();
    return StandInFor(c.symbol, c.cudaVersion, c.flags, c.pfn);
  }
  const auto& c = call.As<api::CuGetProcAddress_v2Call>();
  StandInFor(c.symbol, c.cudaVersion, c.flags, c.pfn);
}

}  // namespace flexai::backend::cuda
