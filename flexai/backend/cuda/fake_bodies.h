// How the bodies of the fake driver's functions are written, in files of the fake alone:
//   FAKE(CuInit) { End(call); }
#pragma once

#include "flexai/backend/cuda/fake_objects.h"
#include "flexai/backend/cuda/holdings.h"

namespace flexai::fake {

namespace cu = ::flexai::api::cuda;
using namespace ::flexai::backend::cuda::fake_driver;  // NOLINT: the bodies are its own
using ::flexai::backend::cuda::kBlock;
using ::flexai::backend::cuda::RoundUp;

}  // namespace flexai::fake

#define FAKE(Name) \
  template <>      \
  void Run<cu::Name##Call>(cu::Name##Call & call)
#define FAKE_AS(Name, Body) \
  FAKE(Name) { Body(call); }
/// The variant for streams of the thread as well.
#define FAKE_BOTH(Name, Stream, Body) \
  FAKE_AS(Name, Body)                 \
  FAKE_AS(Name##Stream, Body)
