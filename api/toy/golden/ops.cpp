// Generated from api/toy/toy.toml by tools/gen; do not edit.

#include "flexai/intercept/ops.h"
#include "toy/calls.h"

namespace flexai::api::toy {
namespace {

constexpr intercept::FnOps kOps[kFunctionCount] = {
    intercept::OpsOf<ToyListCardsCall>::kOps,
    intercept::OpsOf<ToyAskCall>::kOps,
    intercept::OpsOf<ToyCreateContextCall>::kOps,
    intercept::OpsOf<ToyAllocCall>::kOps,
    intercept::OpsOf<ToyFreeCall>::kOps,
    intercept::OpsOf<ToyCopyRectCall>::kOps,
    intercept::OpsOf<ToyLoadCall>::kOps,
    intercept::OpsOf<ToyLaunchCall>::kOps,
    intercept::OpsOf<ToySyncCall>::kOps,
    intercept::OpsOf<ToyMapCall>::kOps,
    intercept::OpsOf<ToyLookUpCall>::kOps,
    intercept::OpsOf<ToyVersionEXTCall>::kOps,
};

}  // namespace

constinit const intercept::LibraryInfo kLibrary = {"toy", kFunctionCount, kFunctions, kOps, kHandleKinds, 5};

}  // namespace flexai::api::toy
