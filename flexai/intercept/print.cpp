#include "flexai/intercept/print.h"

namespace flexai::intercept {

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

}  // namespace flexai::intercept
