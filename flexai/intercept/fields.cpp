#include "flexai/intercept/fields.h"

#include <string.h>

#include <bit>

namespace flexai::intercept {
namespace {

// An object that the call made, in a field of role kNew.
uint64_t MadeIn(const FieldInfo& field, const void* params) {
  const uint64_t word = ReadField(field, params);
  if (field.shape != Shape::kOne && field.shape != Shape::kArray) return word;
  if (word == 0) return 0;
  return ReadWord(reinterpret_cast<const void*>(word), field.element, field.element_size);
}

}  // namespace

[[gnu::hot]] uint64_t ChargeOf(const Fields& fields, const void* params) {
  uint64_t bytes = 0;
  for (uint32_t left = fields.roles.charges; left != 0; left &= left - 1) {
    bytes += fields.all[std::countr_zero(left)].charge(params);
  }
  return bytes;
}

[[gnu::hot]] uint64_t HandleOf(const Fields& fields, const void* params) {
  const int at = fields.roles.handle;
  return at < 0 ? 0 : ReadField(fields.all[at], params);
}

[[gnu::hot]] uint64_t CreatedOf(const Fields& fields, const void* params) {
  const bool by_result = fields.returns != Returns::kVoid && fields.result().role == Role::kNew;
  uint64_t made = by_result ? MadeIn(fields.result(), params) : 0;
  for (uint32_t left = fields.roles.creates; left != 0 && made == 0; left &= left - 1) {
    made = MadeIn(fields.all[std::countr_zero(left)], params);
  }
  return made;
}

[[gnu::hot]] uint64_t DroppedOf(const Fields& fields, const void* params) {
  const int at = fields.roles.dropped;
  return at < 0 ? 0 : ReadField(fields.all[at], params);
}

[[gnu::hot]] bool IsOk(const Fields& fields, const void* params, int64_t success) {
  switch (fields.returns) {
    case Returns::kStatus:
      return static_cast<int64_t>(ReadField(fields.result(), params)) == success;
    case Returns::kHandle:
    case Returns::kPointer:
      return ReadField(fields.result(), params) != 0;
    default:
      return true;
  }
}

void EndWith(const Fields& fields, void* params, int64_t code) {
  const auto put = [code](void* at, size_t size) {
    // The low bytes of a number come first on all that we run on.
    static_assert(std::endian::native == std::endian::little);
    memcpy(at, &code, size < sizeof(code) ? size : sizeof(code));
  };
  if (fields.returns != Returns::kVoid) {
    const FieldInfo& result = fields.result();
    char* at = static_cast<char*>(params) + result.offset;
    memset(at, 0, result.size);
    if (fields.returns == Returns::kStatus) put(at, result.size);
  }
  for (uint32_t left = fields.roles.errors; left != 0; left &= left - 1) {
    const FieldInfo& field = fields.all[std::countr_zero(left)];
    if (const uint64_t at = ReadField(field, params)) {
      put(reinterpret_cast<void*>(at), field.element_size);
    }
  }
}

}  // namespace flexai::intercept
