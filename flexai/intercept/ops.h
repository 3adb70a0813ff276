// Makes FnOps of a generated call struct: what the chassis and its stages may ask of any call. One
// instance per function is made in the generated ops.cpp; what can be data is data (fields.h).
#pragma once

#include <type_traits>

#include "flexai/intercept/call.h"
#include "flexai/intercept/fields.h"

namespace flexai::intercept {

template <class T>
consteval Word WordOf() {
  if (std::is_pointer_v<T>) return Word::kPointer;
  if (!std::is_integral_v<T>) return Word::kOther;
  return std::is_signed_v<T> ? Word::kSigned : Word::kUnsigned;
}

template <class Tag>
uint64_t CountOf(const void* params) {
  return Tag(*static_cast<const typename Tag::Of*>(params)).Count();
}
template <class Tag>
uint64_t FilledOf(const void* params) {
  return Tag(*static_cast<const typename Tag::Of*>(params)).Filled();
}
template <class Tag>
uint64_t ChargeBy(const void* params) {
  return Tag(*static_cast<const typename Tag::Of*>(params)).Charge();
}

/// Of the field of type `T` at `offset` that `Tag` describes.
template <class Tag, class T>
consteval FieldInfo FieldOf(size_t offset) {
  constexpr ParamInfo kInfo = Tag::kInfo;
  constexpr Shape kShape = kInfo.shape;
  FieldInfo field = {};
  field.name = kInfo.name;
  field.offset = static_cast<uint16_t>(offset);
  field.size = sizeof(T);
  field.direction = kInfo.direction;
  field.shape = kShape;
  field.role = kInfo.role;
  field.handle = kInfo.handle_kind != 0;
  field.word = WordOf<T>();
  field.element = Word::kOther;
  if constexpr (kShape == Shape::kOne || kShape == Shape::kArray || kShape == Shape::kList0 ||
                kInfo.role == Role::kError) {
    using Element = std::remove_cv_t<std::remove_pointer_t<T>>;
    field.element = WordOf<Element>();
    field.element_size = sizeof(Element);
  }
  if constexpr (kShape == Shape::kArray || kShape == Shape::kBytes || kShape == Shape::kStrings ||
                kShape == Shape::kBlobs) {
    field.count = &CountOf<Tag>;
  }
  using Default = uint64_t (ParamTag<typename Tag::Of>::*)() const;
  if constexpr (!std::is_same_v<decltype(&Tag::Filled), Default>) field.filled = &FilledOf<Tag>;
  if constexpr (kInfo.role == Role::kCharge) field.charge = &ChargeBy<Tag>;
  return field;
}

constexpr FieldRoles RolesOf(const FieldInfo* all, int params) {
  FieldRoles roles;
  for (int i = 0; i < params; ++i) {
    const FieldInfo& field = all[i];
    const bool itself = field.shape == Shape::kValue || field.shape == Shape::kOpaque;
    if (field.role == Role::kCharge) roles.charges |= 1u << i;
    if (field.role == Role::kNew) roles.creates |= 1u << i;
    if (field.role == Role::kError) roles.errors |= 1u << i;
    if (field.role == Role::kDrop && itself) roles.dropped = static_cast<int16_t>(i);
    if ((field.role == Role::kHandle || field.role == Role::kDrop) && itself &&
        field.direction == Direction::kIn && roles.handle < 0) {
      roles.handle = static_cast<int16_t>(i);
    }
  }
  return roles;
}

template <class C>
void Forward(void* params, void* next) {
  auto* function = reinterpret_cast<typename C::Signature*>(next);
  if constexpr (C::kReturns == Returns::kVoid) {
    static_cast<C*>(params)->Apply(function);
  } else {
    static_cast<C*>(params)->result = static_cast<C*>(params)->Apply(function);
  }
}

template <class C>
uint64_t QueueOf(void* params) {
  return static_cast<C*>(params)->Apply(&C::QueueOf);
}

/// `all` are its parameters, and then its result if it has one.
template <class C, size_t kCount>
constexpr FnOps OpsOf(const FieldInfo (&all)[kCount]) {
  constexpr int kParams = static_cast<int>(kCount) - (C::kReturns == Returns::kVoid ? 0 : 1);
  static_assert(kParams <= 32);
  FnOps ops = {&Forward<C>, nullptr, {all, kParams, C::kReturns, RolesOf(all, kParams)}};
  if constexpr (requires { &C::QueueOf; }) ops.queue = &QueueOf<C>;
  return ops;
}

}  // namespace flexai::intercept
