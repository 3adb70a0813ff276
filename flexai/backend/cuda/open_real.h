// Finds the vendor's libraries, whose names our own bear.
#pragma once

namespace flexai::backend::cuda {

/// Opens the real library `soname`: the one that the environment variable `variable` names, else
/// the first in the places where drivers are kept that is not `self`, an address inside the asking
/// library. Null, with a word in the log, where there is none. Thread: one at a time.
void* OpenReal(const char* soname, const char* variable, const void* self);

}  // namespace flexai::backend::cuda
