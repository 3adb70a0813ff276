#include "flexai/intercept/print.h"

#include <algorithm>

namespace flexai::intercept {
namespace {

constexpr uint64_t kShown = 4;     // elements of an array
constexpr size_t kShownText = 48;  // bytes of a string

void PrintWord(LineWriter& line, uint64_t value, Word word) {
  switch (word) {
    case Word::kPointer:
      return value == 0 ? line.Text("null") : line.Hex(value);
    case Word::kSigned:
      return line.Signed(static_cast<int64_t>(value));
    case Word::kUnsigned:
      return line.Unsigned(value);
    default:
      return line.Text("{...}");
  }
}

// What a call struct says about one of its fields, and the words behind it.
struct Printed {
  const FieldInfo& field;
  const void* params;
  uint64_t value;

  uint64_t Element(uint64_t index) const {
    return ReadWord(reinterpret_cast<const char*>(value) + index * field.element_size,
                    field.element, field.element_size);
  }
  uint64_t count() const {
    const uint64_t count = field.count ? field.count(params) : 1;
    return field.filled ? std::min(count, field.filled(params)) : count;
  }
};

void PrintElements(LineWriter& line, const Printed& printed) {
  const bool is_array = printed.field.shape == Shape::kArray;
  const uint64_t count = printed.count();
  if (is_array) line.Text("[");
  for (uint64_t i = 0; i < count && i < kShown; ++i) {
    if (i > 0) line.Text(", ");
    PrintWord(line, printed.Element(i), printed.field.element);
  }
  if (is_array) line.Text(count > kShown ? ", ...]" : "]");
}

void PrintList(LineWriter& line, const Printed& printed) {
  line.Text("[");
  for (uint64_t i = 0; printed.Element(i) != 0 && i < 16; i += 2) {
    if (i > 0) line.Text(", ");
    line.Hex(printed.Element(i));
    line.Text(": ");
    line.Hex(printed.Element(i + 1));
  }
  line.Text("]");
}

void PrintField(LineWriter& line, const FieldInfo& field, const void* params, bool follow) {
  const Printed printed = {field, params, ReadField(field, params)};
  switch (field.shape) {
    case Shape::kOne:
    case Shape::kArray:
    case Shape::kList0:
      if (printed.value == 0 || !follow) return PrintWord(line, printed.value, Word::kPointer);
      return field.shape == Shape::kList0 ? PrintList(line, printed) : PrintElements(line, printed);
    case Shape::kCString:
      if (printed.value == 0) return line.Text("null");
      return line.Quoted(reinterpret_cast<const char*>(printed.value), kShownText);
    case Shape::kBytes:
    case Shape::kStrings:
    case Shape::kBlobs:
      PrintWord(line, printed.value, field.word);
      if (printed.value == 0) return;
      line.Text("(");
      line.Unsigned(field.count(params));
      return line.Text(")");
    default:
      if (field.handle && field.word != Word::kPointer) return line.Hex(printed.value);
      return PrintWord(line, printed.value, field.word);
  }
}

}  // namespace

void LineWriter::Put(char c) {
  if (length_ + 1 >= size_) return;
  out_[length_++] = c;
  out_[length_] = 0;
}

void LineWriter::Text(const char* text) {
  for (; *text; ++text) Put(*text);
}

void LineWriter::Quoted(const char* text, size_t length) {
  Put('"');
  size_t i = 0;
  for (; i < length && text[i]; ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    Put(c >= 0x20 && c < 0x7f ? text[i] : '.');
  }
  if (i == length) Text("...");
  Put('"');
}

void LineWriter::Unsigned(uint64_t value) {
  char digits[20];
  int n = 0;
  do {
    digits[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value);
  while (n > 0) Put(digits[--n]);
}

void LineWriter::Signed(int64_t value) {
  if (value < 0) Put('-');
  Unsigned(value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
}

void LineWriter::Hex(uint64_t value) {
  Text("0x");
  char digits[16];
  int n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value);
  while (n > 0) Put(digits[--n]);
}

size_t PrintCall(const Fields& fields, const void* params, const char* name, bool follow,
                 std::span<char> out) {
  LineWriter line(out.data(), out.size());
  line.Text(name);
  line.Text("(");
  for (int i = 0; i < fields.params; ++i) {
    if (i > 0) line.Text(", ");
    line.Text(fields.all[i].name);
    line.Text("=");
    PrintField(line, fields.all[i], params, follow);
  }
  line.Text(")");
  if (fields.returns != Returns::kVoid) {
    line.Text(" = ");
    PrintWord(line, ReadField(fields.result(), params), fields.result().word);
  }
  return line.length();
}

}  // namespace flexai::intercept
