// Generated from api/toy/toy.toml by tools/gen; do not edit.

#include "flexai/remote/wire/codec.h"
#include "toy/calls.h"

namespace flexai::api::toy {

/// By index; the server finds the index with FindById.
extern const remote::wire::Thunk kThunks[kFunctionCount];
const remote::wire::Thunk kThunks[kFunctionCount] = {
    remote::wire::ThunkOf<ToyListCardsCall>(),
    remote::wire::ThunkOf<ToyAskCall>(),
    remote::wire::ThunkOf<ToyCreateContextCall>(),
    remote::wire::ThunkOf<ToyAllocCall>(),
    remote::wire::ThunkOf<ToyFreeCall>(),
    remote::wire::ThunkOf<ToyCopyRectCall>(),
    remote::wire::ThunkOf<ToyLoadCall>(),
    remote::wire::ThunkOf<ToyLaunchCall>(),
    remote::wire::ThunkOf<ToySyncCall>(),
    remote::wire::ThunkOf<ToyMapCall>(),
    remote::wire::ThunkOf<ToyLookUpCall>(),
    remote::wire::ThunkOf<ToyVersionEXTCall>(),
};

}  // namespace flexai::api::toy
