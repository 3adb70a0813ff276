#include "flexai/backend/cuda/open_real.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "flexai/base/load_directly.h"
#include "flexai/base/log.h"

namespace flexai::backend::cuda {
namespace {

// Where drivers' libraries lie: distributions, containers, and a host that is itself a guest.
constexpr const char* kFolders[] = {
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
    "/usr/lib",
};

bool IsFile(const std::string& path, const struct stat& unwanted) {
  struct stat file;
  return stat(path.c_str(), &file) == 0 &&
         !(file.st_dev == unwanted.st_dev && file.st_ino == unwanted.st_ino);
}

// By absolute path, because a library of this name is loaded: ours.
std::string FindReal(const std::string& soname, const struct stat& own) {
  const char* listed = getenv("LD_LIBRARY_PATH");
  const std::string list = listed ? listed : "";
  for (size_t at = 0; at < list.size();) {
    const size_t colon = std::min(list.find(':', at), list.size());
    const std::string path = list.substr(at, colon - at) + "/" + soname;
    // Another copy of our own library is not the driver either.
    const std::string ours = list.substr(at, colon - at) + "/../libflexai_cuda.so";
    const bool is_ours = access(ours.c_str(), F_OK) == 0;
    if (path[0] == '/' && !is_ours && IsFile(path, own)) return path;
    at = colon + 1;
  }
  for (const char* folder : kFolders) {
    const std::string path = std::string(folder) + "/" + soname;
    if (IsFile(path, own)) return path;
  }
  return "";
}

// The library or program that an address lies in.
struct stat FileOf(const void* address) {
  struct stat file = {};
  Dl_info info;
  if (dladdr(address, &info) && info.dli_fname) stat(info.dli_fname, &file);
  return file;
}

}  // namespace

std::string RealPath(const char* soname, const char* variable, const void* self) {
  const char* asked = secure_getenv(variable);
  return asked && *asked ? asked : FindReal(soname, FileOf(self));
}

void* OpenReal(const char* soname, const char* variable, const void* self) {
  const struct stat own = FileOf(self);
  const std::string path = RealPath(soname, variable, self);
  if (path.empty()) {
    FLEXAI_LOG("cuda", kWarn, "no %s of a driver on this machine; every call is refused", soname);
    return nullptr;
  }
  void* library = IsFile(path, own) ? LoadDirectly(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!library) {
    const char* why = dlerror();
    FLEXAI_LOG("cuda", kError, "cannot open %s: %s", path.c_str(), why ? why : "it is no driver");
  }
  return library;
}

}  // namespace flexai::backend::cuda
