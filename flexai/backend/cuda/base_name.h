// Names of functions without what tells their variants apart.
#pragma once

#include <string_view>

namespace flexai::backend::cuda {

/// Whether the function's default stream is the calling thread's own.
constexpr bool IsPerThread(std::string_view name) {
  return name.ends_with("_ptsz") || name.ends_with("_ptds");
}

/// A function's name without the version and the kind of stream: "cuMemAlloc" of "cuMemAlloc_v2".
constexpr std::string_view BaseName(std::string_view name) {
  if (IsPerThread(name)) name.remove_suffix(5);
  const size_t at = name.rfind("_v");
  if (at != name.npos && at + 2 < name.size() && name[at + 2] >= '0' && name[at + 2] <= '9') {
    name = name.substr(0, at);
  }
  return name;
}

}  // namespace flexai::backend::cuda
