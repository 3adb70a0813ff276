#include "flexai/schedule/sim/text.h"

#include <cctype>

namespace flexai::schedule::sim {
namespace {

constexpr int kMostDepth = 8;

class Parser {
 public:
  Parser(std::string_view text, TextError* error) : text_(text), error_(error) {}

  std::vector<Field> Fields(int depth) {
    std::vector<Field> fields;
    while (error_->reason.empty()) {
      SkipBlank();
      if (at_ == text_.size()) {
        if (depth > 0) Fail("a brace is not closed");
        break;
      }
      if (text_[at_] == '}') {
        if (depth == 0) Fail("a brace closes that was not opened");
        ++at_;
        break;
      }
      Field field;
      if (!ReadField(&field, depth)) break;
      fields.push_back(std::move(field));
    }
    return fields;
  }

 private:
  bool ReadField(Field* field, int depth) {
    field->line = line_;
    field->name = Word();
    if (field->name.empty()) return Fail("a name was expected, not '" + Here() + "'");
    SkipBlank();
    const bool colon = Take(':');
    SkipBlank();
    if (Take('{')) {
      if (depth + 1 >= kMostDepth) return Fail("braces are nested too deeply");
      field->block = true;
      field->fields = Fields(depth + 1);
      return error_->reason.empty();
    }
    if (!colon) return Fail("after '" + field->name + "' a colon or a brace was expected");
    if (Take('"')) return Quoted(field);
    field->value = Word();
    if (field->value.empty()) return Fail("'" + field->name + "' has no value");
    Separator();
    return true;
  }

  bool Quoted(Field* field) {
    field->quoted = true;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      field->value += text_[at_++];
    }
    if (!Take('"')) return Fail("a quote is not closed");
    Separator();
    return true;
  }

  void Separator() {
    SkipBlank();
    if (!Take(',')) Take(';');
  }

  std::string Word() {
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '_' || text_[at_] == '-' || text_[at_] == '.')) {
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string Here() const {
    const char byte = text_[at_];
    return std::isprint(static_cast<unsigned char>(byte)) != 0 ? std::string(1, byte) : "?";
  }

  bool Take(char wanted) {
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void SkipBlank() {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
        if (at_ == text_.size()) return;
      }
      if (text_[at_] == '\n') ++line_;
      if (std::isspace(static_cast<unsigned char>(text_[at_])) == 0) return;
    }
  }

  bool Fail(const std::string& reason) {
    if (error_->reason.empty()) *error_ = {line_, reason};
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  TextError* error_;
};

}  // namespace

std::vector<Field> ParseText(std::string_view text, TextError* error) {
  return Parser(text, error).Fields(0);
}

}  // namespace flexai::schedule::sim
