#include "apps/flexai/output.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "flexai/operate/json_text.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Whether YAML reads `text` as this very string when it stands there without quotes.
bool IsPlain(const std::string& text) {
  if (text.empty() || text == "true" || text == "false" || text == "null" || text == "yes" ||
      text == "no" || text == "on" || text == "off") {
    return false;
  }
  const bool letter_first = std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '/';
  const auto harmless = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/' || c == ' ';
  };
  return letter_first && text.back() != ' ' && std::all_of(text.begin(), text.end(), harmless);
}

std::string YamlScalar(const json& value) {
  if (value.is_string() && IsPlain(value.get<std::string>())) return value.get<std::string>();
  return operate::JsonText(value);  // JSON's scalars and empty [] {} are YAML's as well
}

bool IsBlock(const json& value) { return value.is_structured() && !value.empty(); }

void AppendYaml(const json& value, size_t indent, std::string* out) {
  const std::string blanks(indent, ' ');
  if (value.is_object()) {
    bool first = true;
    for (const auto& [key, item] : value.items()) {
      // The first key stands behind the "- " of the list it is in.
      if (!first || out->empty() || out->back() == '\n') *out += blanks;
      first = false;
      *out += YamlScalar(json(key)) + ":";
      if (IsBlock(item)) {
        *out += "\n";
        AppendYaml(item, item.is_object() ? indent + 2 : indent, out);
      } else {
        *out += " " + YamlScalar(item) + "\n";
      }
    }
    return;
  }
  for (const json& item : value) {
    *out += blanks + "- ";
    if (item.is_object() && !item.empty()) {
      AppendYaml(item, indent + 2, out);
    } else if (IsBlock(item)) {
      *out += "\n";
      AppendYaml(item, indent + 2, out);
    } else {
      *out += YamlScalar(item) + "\n";
    }
  }
}

}  // namespace

Result<Format> ParseFormat(std::string_view text) {
  if (text.empty() || text == "table") return Format::kTable;
  if (text == "wide") return Format::kWide;
  if (text == "json") return Format::kJson;
  if (text == "yaml") return Format::kYaml;
  return Status(Code::kInvalidArgument, "output '" + std::string(text) + "' is not known",
                "write table, wide, json or yaml");
}

Table& Table::Add(std::string title, bool right) {
  columns_.push_back(Column{std::move(title), right});
  return *this;
}

std::string Table::Render(size_t width) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(Width(column.title));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text;
  const auto line = [&](const std::vector<std::string>& cells) {
    size_t used = 0;
    for (size_t i = 0; i < cells.size() && i < widths.size(); ++i) {
      std::string cell = cells[i];
      const bool last = i + 1 == widths.size();
      if (last && width > used) cell = Shorten(cell, width - used);
      const std::string blanks(widths[i] - std::min(widths[i], Width(cell)), ' ');
      if (columns_[i].right) {
        text += blanks + cell;
      } else {
        text += last ? cell : cell + blanks;
      }
      if (!last) text += "  ";
      used += widths[i] + 2;
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    text += "\n";
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  line(titles);
  for (const auto& row : rows_) line(row);
  return text;
}

std::string ToJson(const json& value) { return operate::JsonText(value, 2) + "\n"; }

std::string ToYaml(const json& value) {
  if (!IsBlock(value)) return YamlScalar(value) + "\n";
  std::string text;
  AppendYaml(value, 0, &text);
  return text;
}

std::string Printable(std::string_view text) {
  std::string clean;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too: 0xC2 and a byte below 0xA0.
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1) ++i;
    clean += c < 0x20 || c == 0x7F || c1 ? '?' : text[i];
  }
  return clean;
}

size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
}

std::string Shorten(std::string_view text, size_t width) {
  if (Width(text) <= width) return std::string(text);
  const size_t keep = width > 3 ? width - 3 : width;
  size_t end = 0;
  for (size_t shown = 0; end < text.size(); ++end) {
    if (!Continues(text[end]) && shown++ == keep) break;
  }
  return std::string(text.substr(0, end)) + (width > 3 ? "..." : "");
}

std::string FormatSeconds(double seconds) {
  char text[48];
  const auto whole = static_cast<long long>(seconds);
  if (seconds < 10) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
  } else if (whole < 60) {
    std::snprintf(text, sizeof(text), "%lld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%lldm%02llds", whole / 60, whole % 60);
  } else if (whole < 48 * 3600) {
    std::snprintf(text, sizeof(text), "%lldh%02lldm", whole / 3600, whole / 60 % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lldd%02lldh", whole / 86400, whole / 3600 % 24);
  }
  return text;
}

std::string FormatRatio(double ratio) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %%", ratio * 100);
  return text;
}

bool UsesColour(int fd) {
  const char* refused = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  if (refused && *refused) return false;
  return isatty(fd) && !(terminal && std::strcmp(terminal, "dumb") == 0);
}

size_t TerminalWidth(int fd, size_t fallback) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return fallback;
}

bool Print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      std::fprintf(stderr, "flexai: cannot write the output: %s\n", std::strerror(errno));
      return false;
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::string TextField(const json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end() || found->is_null()) return "";
  return Printable(found->is_string() ? found->get<std::string>() : operate::JsonText(*found));
}

double NumberField(const json& object, const char* name, double fallback) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_number() ? found->get<double>() : fallback;
}

uint64_t BytesField(const json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_number() ? found->get<uint64_t>() : 0;
}

const json& ListField(const json& object, const char* name) {
  static const json empty = json::array();
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found != object.end() && found->is_array() ? *found : empty;
}

}  // namespace flexai::cli
