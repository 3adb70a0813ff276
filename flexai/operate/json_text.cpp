#include "flexai/operate/json_text.h"

namespace flexai::operate {
namespace {
using nlohmann::json;

constexpr int kMostDepth = 8;
}  // namespace

json ParseJson(std::string_view text) {
  const auto is_shallow = [](int depth, json::parse_event_t, json&) { return depth <= kMostDepth; };
  return json::parse(text, is_shallow, /*allow_exceptions=*/false);
}

std::string JsonText(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

}  // namespace flexai::operate
