// Faults on demand: which call of which function fails, and how. A text such as
//   clCreateBuffer@3=-4,clFinish=-36,clFlush@2=kill
// (from FLEXAI_FAKE_FAULTS, or from a test) names a function, the number of the call (from 1;
// without it every call), and the vendor's code to return; `kill` ends the process at once, as kill
// -9 does, and `hang` never returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::fake {

/// Thread: any.
class Faults {
 public:
  /// Those of this process; the first use reads FLEXAI_FAKE_FAULTS.
  static Faults& Instance();

  /// Replaces the list and begins to count anew.
  /// Errors: kInvalidArgument (names the piece that cannot be read; the old list stays).
  Status Set(const std::string& text);

  /// Whether this call of `function` fails; then `code` is what it returns.
  bool Take(const char* function, int64_t* code) {
    return armed_.load(std::memory_order_relaxed) && TakeArmed(function, code);
  }

 private:
  enum class Kind { kCode, kKill, kHang };
  struct Fault {
    std::string function;
    uint64_t at;  // 0 = every call
    Kind kind;
    int64_t code;
    uint64_t seen;
  };
  bool TakeArmed(const char* function, int64_t* code);
  static Status Parse(const std::string& piece, Fault* fault);

  std::atomic<bool> armed_{false};
  std::mutex mu_;  // guards faults_
  std::vector<Fault> faults_;
};

}  // namespace flexai::fake
