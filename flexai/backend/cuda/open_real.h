// Finds the vendor's libraries, whose names our own bear.
#pragma once

#include <string>

namespace flexai::backend::cuda {

/// The path of the real library `soname`, as OpenReal finds it; empty where there is none.
std::string RealPath(const char* soname, const char* variable, const void* self);

/// Opens the real library `soname`: the one that the environment variable `variable` names, else
/// the first in the places where drivers are kept that is not `self`, an address inside the asking
/// library. Null, with a word in the log, where there is none. Thread: one at a time.
void* OpenReal(const char* soname, const char* variable, const void* self);

}  // namespace flexai::backend::cuda
