// In a slice a program finds the slice's own card and no other: device lists leave the others out,
// and no context is made on one.
#pragma once

#include "flexai/intercept/call.h"

namespace flexai::backend::opencl {

/// Before a call that lists devices or makes a context, in a slice of the card that `uuid` names:
/// answers it, or refuses it, where devices of other cards are in it. Other calls are left alone.
/// Thread: any. Asks the driver.
void ShowOwnDevices(intercept::Call& call, const char* uuid);

}  // namespace flexai::backend::opencl
