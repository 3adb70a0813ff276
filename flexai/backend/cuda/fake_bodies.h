// How the bodies of the fake driver's functions are written, in files of the fake alone:
//   FAKE(CuInit) { End(call); }
#pragma once

#include <string_view>
#include <type_traits>

#include "flexai/backend/cuda/base_name.h"
#include "flexai/backend/cuda/fake_objects.h"
#include "flexai/backend/cuda/holdings.h"

namespace flexai::fake {

namespace cu = ::flexai::api::cuda;
using namespace ::flexai::backend::cuda::fake_driver;  // NOLINT: the bodies are its own
using ::flexai::backend::cuda::kBlock;
using ::flexai::backend::cuda::RoundUp;

// Functions some of whose answers nobody need take.
constexpr bool MayLackAnswers(std::string_view name) {
  for (const std::string_view each :
       {"cuGetProcAddress", "cuCtxPopCurrent", "cuDevicePrimaryCtxGetState",
        "cuCtxGetStreamPriorityRange", "cuModuleGetGlobal", "cuLibraryGetGlobal", "cuMemGetInfo",
        "cuGraphExecUpdate", "cuGraphInstantiate", "cuGetExportTable"}) {
    if (each == ::flexai::backend::cuda::BaseName(name)) return true;
  }
  return false;
}

/// Looks for a null where a call needs one thing of the caller's, or a place for one answer.
template <class C>
struct NullSeeker {
  template <class Tag, class T>
  void operator()(Tag, T& value) {
    constexpr intercept::ParamInfo kInfo = Tag::kInfo;
    constexpr bool kIsAnswer = kInfo.direction == intercept::Direction::kOut;
    if constexpr (std::is_pointer_v<T> && kInfo.shape == intercept::Shape::kOne &&
                  !kInfo.optional && !(kIsAnswer && MayLackAnswers(C::kName))) {
      found = found || !value;
    }
  }
  bool found = false;
};

/// What a function does with what it needs.
template <class C>
void Do(C& call);
template <class C>
void DoOrRefuse(C& call) {
  NullSeeker<C> seeker;
  call.VisitParams(seeker);
  seeker.found ? End(call, cu::CUDA_ERROR_INVALID_VALUE) : Do(call);
}

}  // namespace flexai::fake

#define FAKE(Name)                                  \
  template <>                                       \
  void Do<cu::Name##Call>(cu::Name##Call & call);   \
  template <>                                       \
  void Run<cu::Name##Call>(cu::Name##Call & call) { \
    DoOrRefuse(call);                               \
  }                                                 \
  template <>                                       \
  void Do<cu::Name##Call>(cu::Name##Call & call)
#define FAKE_AS(Name, Body) \
  FAKE(Name) { Body(call); }
/// The variant for streams of the thread as well.
#define FAKE_BOTH(Name, Stream, Body) \
  FAKE_AS(Name, Body)                 \
  FAKE_AS(Name##Stream, Body)
