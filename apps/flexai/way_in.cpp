#include "apps/flexai/way_in.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace flexai::cli {

const std::vector<WayIn>& WaysIn() {
  static const std::vector<WayIn> ways = {
#include "flexai_program/ways_in.inc"
  };
  return ways;
}

std::string OwnPath() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length > 0) return std::string(path, static_cast<size_t>(length));
  // Without /proc: what we were started as.
  const auto* started = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return started && realpath(started, path) ? path : "";
}

const std::vector<Preload>& Preloads() {
  static const std::vector<Preload> preloads = {
#include "flexai_program/preloads.inc"
  };
  return preloads;
}

Result<std::string> FindLibrary(std::string_view backend, std::string_view library) {
  const std::string own = OwnPath();
  const std::string root = own.substr(0, own.rfind('/')) + "/..";
  // The build's layout, then those of an installed tree.
  for (const char* folder : {"/lib/", "/lib/flexai/", "/lib/" FLEXAI_MULTIARCH "/flexai/"}) {
    const std::string candidate = root + folder + std::string(library);
    char path[PATH_MAX];
    if (access(candidate.c_str(), R_OK) == 0 && realpath(candidate.c_str(), path)) {
      return std::string(path);
    }
  }
  return Status(Code::kNotFound,
                std::string(library) + " is not beside " + own + " (looked in ../lib)",
                "install flexai again, or build the target flexai_" + std::string(backend));
}

std::string PutInFront(std::string_view library, std::string_view list) {
  std::string result(library);
  while (!list.empty()) {
    const size_t colon = list.find(':');
    const std::string_view item = list.substr(0, colon);
    list = colon == std::string_view::npos ? std::string_view() : list.substr(colon + 1);
    if (!item.empty() && item != library) result += ":" + std::string(item);
  }
  return result;
}

}  // namespace flexai::cli
