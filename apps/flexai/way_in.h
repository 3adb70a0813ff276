// How calls of an unmodified program come to our libraries, and where those libraries lie.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::cli {

/// One way in, by a loader that reads a list of layers from the environment.
struct WayIn {
  std::string_view backend;   // name of its folder
  std::string_view library;   // file name of our layer
  std::string_view variable;  // environment: the loader's list of layers
  std::string_view loader;    // SONAME of the loader that must know layers
  std::string_view drivers;   // folder whose files name the drivers
};

/// One for each backend that has a layer; made from the build's list of backends.
const std::vector<WayIn>& WaysIn();

/// Another way in: a library that is preloaded, and folders with libraries that take vendors'
/// names.
struct Preload {
  std::string_view backend;
  std::string_view library;  // file name of what is preloaded
  std::string_view folders;  // beside it, with colons between
  std::string_view visible;  // the variable by which programs are told which cards they may see
};

/// One for each backend that has one; made from the build's list of backends.
const std::vector<Preload>& Preloads();

/// The path of this program, with links followed; empty when the system does not tell.
std::string OwnPath();

/// The file of a way in that belongs to this program.
/// Errors: kNotFound (not installed beside it).
Result<std::string> FindLibrary(std::string_view backend, std::string_view library);

/// `list` with `library` in front, once.
std::string PutInFront(std::string_view library, std::string_view list);

}  // namespace flexai::cli
