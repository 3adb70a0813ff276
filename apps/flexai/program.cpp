#include "apps/flexai/program.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace flexai::cli {
namespace {

constexpr size_t kLongestLine = 4096;

enum class Found { kNothing, kFile, kProgram };

Found Look(const std::string& path) {
  struct stat about;
  if (stat(path.c_str(), &about) != 0) {
    return errno == EACCES ? Found::kFile : Found::kNothing;
  }
  if (S_ISDIR(about.st_mode)) return Found::kFile;
  return access(path.c_str(), X_OK) == 0 ? Found::kProgram : Found::kFile;
}

Status NotExecutable(const std::string& path) {
  struct stat about;
  const bool folder = stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
  return Status(Code::kPermissionDenied,
                "cannot run '" + path + "': it is " + (folder ? "a folder" : "not executable"),
                folder ? "name the program in it" : "chmod +x it, or name its interpreter first");
}

}  // namespace

Result<std::string> FindProgram(const std::string& name) {
  const Status missing(Code::kNotFound, "cannot run '" + name + "': there is no such program",
                       "check its name, or give its path");
  if (name.empty()) return missing;
  if (name.find('/') != std::string::npos) {
    const Found found = Look(name);
    if (found == Found::kProgram) return name;
    return found == Found::kFile ? NotExecutable(name) : missing;
  }
  const char* variable = getenv("PATH");
  std::string list = variable ? variable : "/bin:/usr/bin";  // as execvp without PATH
  std::string unusable;
  for (size_t at = 0; at <= list.size();) {
    const size_t colon = std::min(list.find(':', at), list.size());
    std::string path = list.substr(at, colon - at);
    if (path.empty()) path.push_back('.');
    path.append("/").append(name);
    at = colon + 1;
    const Found found = Look(path);
    if (found == Found::kProgram) return path;
    struct stat about;
    if (found == Found::kFile && stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
      unusable = path;
    }
  }
  if (!unusable.empty()) return NotExecutable(unusable);
  return missing;
}

Status Become(const std::vector<std::string>& program) {
  std::vector<char*> words;
  words.reserve(program.size() + 1);
  for (const std::string& word : program) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  const int error = errno;
  return Status(error == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
                "cannot run '" + program[0] + "': " + std::strerror(error),
                error == ENOENT ? "check that the interpreter in its first line exists" : "");
}

std::string OneLine(const std::vector<std::string>& program) {
  std::string line;
  for (const std::string& word : program) {
    if (!line.empty()) line += ' ';
    line += word;
    if (line.size() > kLongestLine) {
      line.resize(kLongestLine);
      break;
    }
  }
  return line;
}

}  // namespace flexai::cli
