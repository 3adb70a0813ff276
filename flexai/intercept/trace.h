// The stage that records calls with their times (FLEXAI_TRACE=FILE). Each thread writes records
// into a chunk of the mapped file: no write(2) for a call, and what was recorded survives kill -9,
// because the pages belong to the file. A new chunk (every 2,000 calls or so) costs a few system
// calls.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "flexai/intercept/stage.h"
#include "flexai/intercept/trace_format.h"

namespace flexai::intercept {

class TraceStage : public Stage {
 public:
  /// Opens `path` for this process. `%p` in it becomes the process id. A file that a living process
  /// is writing is shared if it is of the same library; otherwise, ".<pid>" is appended. With
  /// `text`, parameters are printed too. Errors: kUnavailable (the file cannot be made or grown).
  static Result<std::unique_ptr<TraceStage>> Open(const LibraryInfo& library,
                                                  const std::string& path, bool text);

  /// The stage that FLEXAI_TRACE (file) and FLEXAI_TRACE_ARGS (1 = print parameters) ask for; null
  /// if they ask for none or the file cannot be had, which is said on stderr.
  static std::unique_ptr<TraceStage> FromEnvironment(const LibraryInfo& library);

  ~TraceStage() override;
  const char* name() const override { return "trace"; }
  FailMode fail_mode() const override { return FailMode::kOpen; }
  bool Listens(const FnInfo&) override { return true; }
  bool Before(Call& call) override;
  void After(Call& call) override;

  /// The file that is written, after `%p` and sharing are settled.
  const std::string& path() const { return path_; }

 private:
  TraceStage(std::string path, bool text) : path_(std::move(path)), text_(text) {}
  Status Attach(const LibraryInfo& library, int fd);
  Status Create(const LibraryInfo& library, int fd);
  TraceChunkHeader* NewChunk();

  std::string path_;
  bool text_;
  int lock_fd_ = -1;  // holds the shared lock that says "alive"; never used to grow the file
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  TraceFileHeader* header_ = nullptr;
  std::atomic<bool> broken_{false};
};

}  // namespace flexai::intercept
