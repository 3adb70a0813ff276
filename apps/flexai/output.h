// What commands print: aligned tables, JSON, YAML, and text that cannot harm a terminal.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::cli {

enum class Format { kTable, kWide, kJson, kYaml };

/// Errors: kInvalidArgument (not table, wide, json or yaml).
Result<Format> ParseFormat(std::string_view text);

/// A table of text: titles, then rows, columns two blanks apart.
class Table {
 public:
  /// Numbers go to the right, so that digits of equal weight stand in line.
  Table& Left(std::string title) { return Add(std::move(title), false); }
  Table& Right(std::string title) { return Add(std::move(title), true); }
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  /// The lines; the last column is cut where a line would pass `width` (0: never).
  /// Units: characters.
  std::string Render(size_t width = 0) const;

 private:
  Table& Add(std::string title, bool right);
  struct Column {
    std::string title;
    bool right;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string ToJson(const nlohmann::json& value);
std::string ToYaml(const nlohmann::json& value);

/// Without control characters, so that a program's name cannot drive the terminal.
std::string Printable(std::string_view text);
/// At most `width` characters; what was cut shows as "...".
std::string Shorten(std::string_view text, size_t width);
/// Units: characters as a terminal shows them, for text without wide ones.
size_t Width(std::string_view text);

/// "4 s", "12m04s", "3h07m".
std::string FormatSeconds(double seconds);
/// 0.298 becomes "29.8 %".
std::string FormatRatio(double ratio);

/// Whether colour is welcome on this descriptor: a terminal, and no NO_COLOR.
bool UsesColour(int fd);
/// Columns of the terminal at `fd`, or `fallback`.
size_t TerminalWidth(int fd, size_t fallback);

/// Writes all of it on stdout; false, with a word on stderr, when stdout does not take it.
bool Print(std::string_view text);

// Fields of a reply that may be missing, as when the daemon is of another version.
std::string TextField(const nlohmann::json& object, const char* name);
double NumberField(const nlohmann::json& object, const char* name, double fallback = 0);
uint64_t BytesField(const nlohmann::json& object, const char* name);
const nlohmann::json& ListField(const nlohmann::json& object, const char* name);

}  // namespace flexai::cli
