#include "flexai/backend/cuda/look_up_stage.h"

#include "flexai/backend/cuda/exported.h"
#include "flexai/backend/cuda/look_up_row.h"
#include "flexai/intercept/lookup.h"

namespace flexai::backend::cuda {
namespace {

// Some of the driver's own look-up, so that what it returns ends in us again.
void StandInFor(const char* symbol, int version, uint64_t flags, void** function) {
  if (!symbol || !function || !*function) return;
  const int index = RowOfLookUp(symbol, version, flags, *function, api::AsTable(Real()));
  if (index < 0) {
    if (symbol[0]) intercept::NoteUnknownName(api::kLibrary, symbol);
    return;
  }
  const uint16_t row = static_cast<uint16_t>(index);
  // Programs ask small questions thousands of times a step: what nobody listens to costs nothing.
  if (!g_chassis.IsHeard(row)) return;
  if (!g_chassis.Next(kExportedDoor, row)) g_chassis.SetForward(kExportedDoor, row, *function);
  *function = ExportedEntries()[row];
}

}  // namespace

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
