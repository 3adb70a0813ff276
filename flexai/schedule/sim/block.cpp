#include "flexai/schedule/sim/block.h"

#include <algorithm>
#include <charconv>

namespace flexai::schedule::sim {

bool Block::Has(std::string_view name) const {
  return std::any_of(field_.fields.begin(), field_.fields.end(),
                     [name](const Field& field) { return field.name == name; });
}

const Field* Block::Only(std::string_view name) {
  const Field* found = nullptr;
  for (size_t i = 0; i < field_.fields.size(); ++i) {
    const Field& field = field_.fields[i];
    if (field.name != name) continue;
    asked_[i] = true;
    if (found) FailAt(field.line, "'" + field.name + "' stands here twice");
    if (field.block) FailAt(field.line, "'" + field.name + "' wants a value, not braces");
    found = &field;
  }
  return found;
}

void Block::Text(std::string_view name, std::string* value) {
  if (const Field* field = Only(name)) *value = field->value;
}

void Block::Texts(std::string_view name, std::vector<std::string>* values) {
  for (size_t i = 0; i < field_.fields.size(); ++i) {
    if (field_.fields[i].name != name) continue;
    asked_[i] = true;
    if (field_.fields[i].block) Fail("'" + std::string(name) + "' wants a value, not braces");
    values->push_back(field_.fields[i].value);
  }
}

void Block::Flag(std::string_view name, bool* value) {
  const Field* field = Only(name);
  if (!field) return;
  if (field->value != "true" && field->value != "false") {
    FailAt(field->line, field->name + " '" + field->value + "' is neither true nor false");
  }
  *value = field->value == "true";
}

void Block::Whole(std::string_view name, int64_t least, int64_t most, int64_t* value) {
  const Field* field = Only(name);
  if (!field) return;
  const std::string& text = field->value;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    FailAt(field->line, field->name + " '" + text + "' is not a whole number");
  } else if (number < least || number > most) {
    FailAt(field->line, field->name + " '" + text + "' is not between " + std::to_string(least) +
                            " and " + std::to_string(most));
  } else {
    *value = number;
  }
}

void Block::Decimal(std::string_view name, int64_t scale, int64_t most, int64_t* value) {
  const Field* field = Only(name);
  if (!field) return;
  const std::string& text = field->value;
  const size_t dot = text.find('.');
  std::string digits = text.substr(0, dot);
  std::string part = dot == std::string::npos ? "" : text.substr(dot + 1);
  const bool fits = part.size() <= 3 && digits.size() <= 12 && !digits.empty() &&
                    (dot == std::string::npos || !part.empty());
  part.resize(3, '0');
  digits += part;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = fits && error == std::errc() && end == digits.data() + digits.size();
  if (!whole || number < 0 || number > most * 1000 / scale || number * scale % 1000 != 0) {
    FailAt(field->line, field->name + " '" + text + "' is no number that can be used");
    return;
  }
  *value = number * scale / 1000;
}

void Block::Choice(std::string_view name, const std::vector<std::string_view>& words,
                   size_t* value) {
  const Field* field = Only(name);
  if (!field) return;
  const auto found = std::find(words.begin(), words.end(), field->value);
  if (found != words.end()) {
    *value = static_cast<size_t>(found - words.begin());
    return;
  }
  std::string known;
  for (const std::string_view word : words)
    known += (known.empty() ? "" : ", ") + std::string(word);
  FailAt(field->line, field->name + " '" + field->value + "' is none of " + known);
}

std::vector<const Field*> Block::Blocks(std::string_view name) {
  std::vector<const Field*> blocks;
  for (size_t i = 0; i < field_.fields.size(); ++i) {
    const Field& field = field_.fields[i];
    if (field.name != name) continue;
    asked_[i] = true;
    if (!field.block) FailAt(field.line, "'" + field.name + "' wants braces");
    blocks.push_back(&field);
  }
  return blocks;
}

void Block::FailAt(size_t line, const std::string& reason) {
  if (wrong_.reason.empty()) wrong_ = {line, reason};
}

bool Block::Finish(std::vector<BadRow>* bad) {
  for (size_t i = 0; i < asked_.size(); ++i) {
    if (!asked_[i]) {
      FailAt(field_.fields[i].line, field_.name + " has no field '" + field_.fields[i].name + "'");
    }
  }
  if (!wrong_.reason.empty()) bad->push_back(wrong_);
  return wrong_.reason.empty();
}

}  // namespace flexai::schedule::sim
