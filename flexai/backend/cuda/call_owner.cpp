// Whose a call is, where the slice has several cards: what the books of one of them know of it.
#include <algorithm>
#include <vector>

#include "flexai/backend/cuda/sizes.h"
#include "flexai/backend/cuda/slice_rules.h"

namespace flexai::backend::cuda {

using intercept::Call;

bool SliceRules::Owns(Call& call) {
  switch (DoesOf(call)) {
    case Does::kFree:
      return holdings_.Has(call.dropped()) || reserves_.HasPiece(call.dropped());
    case Does::kFreeObject:
    case Does::kReleasePhysical:
      return holdings_.Has(call.dropped());
    case Does::kUnmap:
      return holdings_.Has(call.As<api::CuMemUnmapCall>().ptr);
    case Does::kMap:
      return holdings_.Has(call.As<api::CuMemMapCall>().handle);
    case Does::kMapInArray:
    case Does::kBind: {
      const std::vector<uint64_t> objects = ObjectsHeld(call);
      return std::any_of(objects.begin(), objects.end(),
                         [this](uint64_t object) { return holdings_.Has(object); });
    }
    case Does::kRetain:
      return holdings_.Has(intercept::ToWord(call.As<api::CuMemRetainAllocationHandleCall>().addr));
    case Does::kExport:
      return holdings_.Has(uint64_t{call.As<api::CuMemExportToShareableHandleCall>().handle});
    case Does::kAllocateFromPool:
      return reserves_.Has(PoolNamed(call));
    case Does::kDestroyPool:
      return reserves_.Has(call.dropped());
    case Does::kTrimPool:
      return reserves_.Has(call.handle());
    case Does::kLaunchGraph:
    case Does::kDestroyExec:
      return graphs_.BytesOf(call.handle()) > 0;
    default:
      return false;
  }
}

uint64_t SliceRules::PoolNamed(const Call& call) const {
  switch (call.info().index) {
    case api::CuMemAllocFromPoolAsyncCall::kIndex:
      return intercept::ToWord(call.As<api::CuMemAllocFromPoolAsyncCall>().pool);
    case api::CuMemAllocFromPoolAsync_ptszCall::kIndex:
      return intercept::ToWord(call.As<api::CuMemAllocFromPoolAsync_ptszCall>().pool);
    default:
      return 0;
  }
}

uint64_t SliceRules::ContextOf(const Call& call) const {
  const bool ends = call.info().event == intercept::Event::kContextDestroy;
  return ends ? call.dropped() : queues_.ContextOf(call);
}

}  // namespace flexai::backend::cuda
