// What `flexai` exits with where the code is not the program's own: docs/reference/exit-codes.md.
#pragma once

namespace flexai::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;           // what was asked for failed or does not exist
inline constexpr int kNoRoom = 75;          // `run --nowait` and no card has room
inline constexpr int kUsage = 125;          // bad usage, no daemon, or a failure of our own
inline constexpr int kNotExecutable = 126;  // `run` found the program and may not run it
inline constexpr int kNotFound = 127;       // `run` did not find the program

}  // namespace flexai::cli
