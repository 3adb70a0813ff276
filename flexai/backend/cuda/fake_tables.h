// The unnamed tables that the vendor's libraries ask the driver for.
#pragma once

namespace flexai::backend::cuda::fake_driver {

/// The table of a name of 16 bytes; null where the fake has none. Thread: any.
const void* FindTable(const void* name);

/// What libraries keep for `context` is forgotten.
void ForgetLocals(const void* context);

}  // namespace flexai::backend::cuda::fake_driver
