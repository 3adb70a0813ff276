// Opening a library past those who stand in front of dlopen and dlmopen, one of which is our own
// preloaded library: it leads a driver's name to us.
#pragma once

#include <dlfcn.h>

namespace flexai {

/// Opens what lies at `path` itself, as dlopen would. Errors: null, and dlerror says why.
inline void* LoadDirectly(const char* path, int flags) {
  using Load = void* (*)(Lmid_t, const char*, int);
  static const Load load = [] {
    // Until glibc 2.34 the second had it.
    for (const char* name : {"libc.so.6", "libdl.so.2"}) {
      void* library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
      void* found = library ? dlsym(library, "dlmopen") : nullptr;
      if (found) return reinterpret_cast<Load>(found);
    }
    return static_cast<Load>(&dlmopen);
  }();
  return load(LM_ID_BASE, path, flags);
}

}  // namespace flexai
