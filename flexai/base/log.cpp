#include "flexai/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string_view>

namespace flexai {
namespace {

constexpr const char* kLevelNames[] = {"error", "warn", "info", "debug"};

int LevelFromName(std::string_view name) {
  for (int i = 0; i < 4; ++i) {
    if (name == kLevelNames[i]) return i;
  }
  return -1;
}

// The level that `spec` ("debug", or "slice=debug,remote=info") gives to `component`.
int LevelFor(std::string_view spec, std::string_view component) {
  int level = static_cast<int>(LogLevel::kWarn);
  while (!spec.empty()) {
    const size_t comma = spec.find(',');
    const std::string_view item = spec.substr(0, comma);
    spec = comma == std::string_view::npos ? std::string_view() : spec.substr(comma + 1);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      if (const int l = LevelFromName(item); l >= 0) level = l;
    } else if (item.substr(0, equals) == component) {
      if (const int l = LevelFromName(item.substr(equals + 1)); l >= 0) return l;
    }
  }
  return level;
}

// A copy: a program may change its environment while a thread of ours logs, which getenv does not
// survive.
char g_levels[256];

__attribute__((constructor(101))) void ReadLevels() {
  if (const char* spec = getenv("FLEXAI_LOG")) SetLogLevels(spec);
}

void WriteLine(char* line, size_t capacity, int used) {
  size_t length = used < 0 ? 0 : static_cast<size_t>(used);
  if (length > capacity - 2) length = capacity - 2;
  line[length] = '\n';
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, length + 1);
}

}  // namespace

bool LogEnabled(const char* component, LogLevel level) {
  return static_cast<int>(level) <= LevelFor(g_levels, component);
}

void SetLogLevels(const char* spec) { snprintf(g_levels, sizeof(g_levels), "%s", spec); }

void LogLine(const char* component, LogLevel level, const char* format, ...) {
  char line[1024];
  int used = snprintf(line, sizeof(line), "flexai: %s %s: ", kLevelNames[static_cast<int>(level)],
                      component);
  va_list args;
  va_start(args, format);
  const int more = vsnprintf(line + used, sizeof(line) - static_cast<size_t>(used), format, args);
  va_end(args);
  WriteLine(line, sizeof(line), used + (more > 0 ? more : 0));
}

void Notice(const char* format, ...) {
  char line[1024] = "flexai: ";
  const int used = static_cast<int>(strlen(line));
  va_list args;
  va_start(args, format);
  const int more = vsnprintf(line + used, sizeof(line) - static_cast<size_t>(used), format, args);
  va_end(args);
  WriteLine(line, sizeof(line), used + (more > 0 ? more : 0));
}

}  // namespace flexai
