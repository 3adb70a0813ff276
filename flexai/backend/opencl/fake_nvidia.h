// The fake driver as one of NVIDIA's, which FLEXAI_FAKE_OPENCL=nvidia makes it: what its card says
// of itself, and the channels behind a context.
#pragma once

#include <memory>

namespace flexai::backend::opencl::fake_driver {

bool IsNvidia();

/// Channels that live as long as what is returned; null where the driver is not NVIDIA's.
std::shared_ptr<void> MakeChannels();

}  // namespace flexai::backend::opencl::fake_driver
