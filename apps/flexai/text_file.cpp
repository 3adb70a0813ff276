#include "apps/flexai/text_file.h"

#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

namespace flexai::cli {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;  // after unpacking
constexpr size_t kChunk = size_t{1} << 18;

struct CloseGz {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

Code CodeOf(int error) {
  if (error == ENOENT || error == ENOTDIR) return Code::kNotFound;
  return error == EACCES ? Code::kPermissionDenied : Code::kInvalidArgument;
}

}  // namespace

Result<std::string> ReadTextFile(const std::string& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, CloseGz> file(gzopen(path.c_str(), "rbe"));
  if (!file) return ErrnoStatus(CodeOf(errno), "cannot open '" + path + "'", "name a file to read");
  std::string text;
  std::vector<char> chunk(kChunk);
  while (true) {
    errno = 0;
    const int got = gzread(file.get(), chunk.data(), static_cast<unsigned>(chunk.size()));
    if (got == 0) break;
    if (got > 0) text.append(chunk.data(), static_cast<size_t>(got));
    if (got < 0 && errno != 0) {
      return ErrnoStatus(CodeOf(errno), "cannot read '" + path + "'", "name a file to read");
    }
    if (got < 0) break;
    if (text.size() > kMostBytes) {
      return Status(Code::kInvalidArgument, "'" + path + "' holds more than 1 GiB of text",
                    "name another file");
    }
  }
  int error = Z_OK;
  gzerror(file.get(), &error);
  if (error != Z_OK) {
    return Status(Code::kInvalidArgument, "'" + path + "' is damaged: it cannot be unpacked",
                  "fetch it again; gzip -t tests it");
  }
  return text;
}

Status WriteTextFile(const std::string& path, std::string_view text) {
  errno = 0;
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  bool fine = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  int error = errno;
  if (file != nullptr && std::fclose(file) != 0) {
    fine = false;
    error = errno;
  }
  if (fine) return Status();
  errno = error;
  return ErrnoStatus(CodeOf(error), "cannot write '" + path + "'",
                     "name a file that can be written");
}

}  // namespace flexai::cli
