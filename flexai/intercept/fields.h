// The fields of a generated call struct as data, for all that needs no template of its own for each
// function: what a call charges, makes and gives up, its refusal, its text. Generated ops.cpp holds
// the tables.
#pragma once

#include <stddef.h>
#include <string.h>

#include <cstdint>

#include "flexai/intercept/param.h"

namespace flexai::intercept {

/// How a field, or what it points to, reads as a word.
enum class Word : uint8_t { kPointer, kSigned, kUnsigned, kOther };

/// One field: a parameter, or the result.
struct FieldInfo {
  const char* name;
  uint64_t (*count)(const void* params);   // elements or bytes behind it; null: 1
  uint64_t (*filled)(const void* params);  // how many the driver has written; null: all
  uint64_t (*charge)(const void* params);  // bytes asked for; null: none
  uint16_t offset;
  uint16_t size;
  uint32_t element_size;  // of what it points to; 0 where nothing reads there
  Direction direction;
  Shape shape;
  Role role;
  Word word;
  Word element;
  bool handle;
};

/// Which fields have a role, so that asking a call costs no search. Sets have a bit for each.
struct FieldRoles {
  uint32_t charges = 0;
  uint32_t creates = 0;
  uint32_t errors = 0;
  int16_t handle = -1;   // the first that names an object; -1 = none
  int16_t dropped = -1;  // the object that the call gives up
};

/// The fields of one function: parameters in order, then the result if there is one.
struct Fields {
  const FieldInfo* all;
  uint8_t params;
  Returns returns;
  FieldRoles roles;

  const FieldInfo& result() const { return all[params]; }
};

uint64_t ChargeOf(const Fields& fields, const void* params);
uint64_t HandleOf(const Fields& fields, const void* params);
/// The first object that was made: the result, or what a parameter points to.
uint64_t CreatedOf(const Fields& fields, const void* params);
uint64_t DroppedOf(const Fields& fields, const void* params);
/// Whether the result says success, which is `success` where it is a status.
bool IsOk(const Fields& fields, const void* params, int64_t success);
/// Puts `code` where the function reports errors, and null where it returns an object.
void EndWith(const Fields& fields, void* params, int64_t code);

/// A value that may lie anywhere.
template <class T>
T ReadValue(const void* at) {
  T value;
  memcpy(&value, at, sizeof(value));
  return value;
}

/// The word at `at`, of `size` bytes; 0 if it is none.
inline uint64_t ReadWord(const void* at, Word word, size_t size) {
  const bool is_signed = word == Word::kSigned;
  if (word == Word::kOther) return 0;
  switch (size) {
    case 1:
      return is_signed ? static_cast<uint64_t>(ReadValue<int8_t>(at)) : ReadValue<uint8_t>(at);
    case 2:
      return is_signed ? static_cast<uint64_t>(ReadValue<int16_t>(at)) : ReadValue<uint16_t>(at);
    case 4:
      return is_signed ? static_cast<uint64_t>(ReadValue<int32_t>(at)) : ReadValue<uint32_t>(at);
    case 8:
      return ReadValue<uint64_t>(at);
    default:
      return 0;
  }
}
/// The word in the field itself.
inline uint64_t ReadField(const FieldInfo& field, const void* params) {
  return ReadWord(static_cast<const char*>(params) + field.offset, field.word, field.size);
}

}  // namespace flexai::intercept
