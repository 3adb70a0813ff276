// One-line logs on stderr: `flexai: level component: message`. FLEXAI_LOG=error|warn|info|debug or
// FLEXAI_LOG=component=level,... chooses what is written; default is warn.
// In a user's process: never stdout, never exit, one write(2) a line so that lines of threads do
// not mix, and nothing at all when fd 2 is closed.
#pragma once

#include <cstdint>

namespace flexai {

enum class LogLevel : uint8_t { kError = 0, kWarn = 1, kInfo = 2, kDebug = 3 };

/// Whether a line of this level from this component would be written.
/// Thread: any.
bool LogEnabled(const char* component, LogLevel level);

/// Sets what FLEXAI_LOG set at the start.
/// Shape: at most 255 characters.
/// Thread: none else may log meanwhile.
void SetLogLevels(const char* spec);

/// Writes one line; printf-style. Lines are cut at 1,024 bytes.
/// Thread: any.
void LogLine(const char* component, LogLevel level, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

/// Writes `flexai: message` whatever the level is set to: for lines a person must see.
void Notice(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace flexai

#define FLEXAI_LOG(component, level, ...)                                   \
  do {                                                                      \
    if (::flexai::LogEnabled(component, ::flexai::LogLevel::level))         \
      ::flexai::LogLine(component, ::flexai::LogLevel::level, __VA_ARGS__); \
  } while (false)
