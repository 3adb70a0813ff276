// FnOps of a generated call struct: what the chassis and its stages may ask of any call. One
// instance per function is made in the generated ops.cpp.
#pragma once

#include "flexai/intercept/call.h"
#include "flexai/intercept/param.h"
#include "flexai/intercept/print.h"

namespace flexai::intercept {

struct FindCharge {
  uint64_t bytes = 0;
  template <class Tag, class T>
  void operator()(Tag tag, T&) {
    if constexpr (Tag::kInfo.role == Role::kCharge) bytes += tag.Charge();
  }
};

struct FindHandle {
  uint64_t handle = 0;
  bool found = false;
  template <class Tag, class T>
  void operator()(Tag, T& field) {
    constexpr Role kRole = Tag::kInfo.role;
    if constexpr (Tag::kInfo.direction == Direction::kIn &&
                  (kRole == Role::kHandle || kRole == Role::kDrop)) {
      if constexpr (Tag::kInfo.shape == Shape::kValue || Tag::kInfo.shape == Shape::kOpaque) {
        if (!found) handle = ToWord(field);
        found = true;
      }
    }
  }
};

struct FindDropped {
  uint64_t handle = 0;
  template <class Tag, class T>
  void operator()(Tag, T& field) {
    if constexpr (Tag::kInfo.role == Role::kDrop) {
      if constexpr (Tag::kInfo.shape == Shape::kValue || Tag::kInfo.shape == Shape::kOpaque) {
        handle = ToWord(field);
      }
    }
  }
};

struct FindCreated {
  uint64_t handle = 0;
  template <class Tag, class T>
  void operator()(Tag, T& field) {
    if constexpr (Tag::kInfo.role == Role::kNew) {
      if constexpr (Tag::kInfo.shape == Shape::kOne || Tag::kInfo.shape == Shape::kArray) {
        if (field && !handle) handle = ToWord(*field);
      } else {
        if (!handle) handle = ToWord(field);  // the result itself
      }
    }
  }
};

struct SetError {
  int64_t code;
  template <class Tag, class T>
  void operator()(Tag, T& field) {
    if constexpr (Tag::kInfo.role == Role::kError) {
      if (field) *field = static_cast<std::remove_pointer_t<T>>(code);
    }
  }
};

template <class C>
struct OpsOf {
  static C& Of(void* params) { return *static_cast<C*>(params); }

  static void Forward(void* params, void* next) {
    auto* function = reinterpret_cast<typename C::Signature*>(next);
    if constexpr (C::kReturns == Returns::kVoid) {
      Of(params).Apply(function);
    } else {
      Of(params).result = Of(params).Apply(function);
    }
  }
  static uint64_t Charge(void* params) {
    FindCharge find;
    Of(params).VisitParams(find);
    return find.bytes;
  }
  static uint64_t Handle(void* params) {
    FindHandle find;
    Of(params).VisitParams(find);
    return find.handle;
  }
  static uint64_t Created(void* params) {
    FindCreated find;
    Of(params).VisitResult(find);
    Of(params).VisitParams(find);
    return find.handle;
  }
  static uint64_t Dropped(void* params) {
    FindDropped find;
    Of(params).VisitParams(find);
    return find.handle;
  }
  static uint64_t Queue(void* params) { return Of(params).Apply(&C::QueueOf); }
  static constexpr auto QueueOrNull() -> uint64_t (*)(void*) {
    if constexpr (requires { &C::QueueOf; }) return &Queue;
    return nullptr;
  }
  static bool Ok(void* params, [[maybe_unused]] int64_t success) {
    if constexpr (C::kReturns == Returns::kStatus) {
      return static_cast<int64_t>(Of(params).result) == success;
    } else if constexpr (C::kReturns == Returns::kHandle || C::kReturns == Returns::kPointer) {
      return ToWord(Of(params).result) != 0;
    } else {
      return true;
    }
  }
  static void Refuse(void* params, int64_t code) {
    if constexpr (C::kReturns == Returns::kStatus) {
      Of(params).result = static_cast<decltype(C::result)>(code);
    } else if constexpr (C::kReturns != Returns::kVoid) {
      Of(params).result = {};
    }
    SetError set{code};
    Of(params).VisitParams(set);
  }
  static size_t Print(void* params, const char* name, bool follow, char* out, size_t size) {
    return PrintCall(Of(params), name, follow, out, size);
  }

  static constexpr FnOps kOps = {&Forward,      &Charge, &Handle, &Created, &Dropped,
                                 QueueOrNull(), &Ok,     &Refuse, &Print};
};

}  // namespace flexai::intercept
