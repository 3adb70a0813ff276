// Writing: a call's parameters on the client, its result and out parameters on the server.
#pragma once

#include "flexai/remote/wire/buffer.h"
#include "flexai/remote/wire/field.h"
#include "flexai/remote/wire/handles.h"

namespace flexai::remote::wire {

/// What both directions write.
struct Encoder {
  Writer& out;
  Handles& handles;
  Failure failure = {};

  void Word(const ParamInfo& info, uint8_t kind, uint64_t native);
  /// Elements as they lie in memory, or as handles where `kind` says so.
  template <class E>
  void Elements(const ParamInfo& info, const E* from, uint64_t count) {
    if (count > kMostMessageBytes / sizeof(E)) {
      return failure.Set(info.name, "is longer than a message", Code::kResourceExhausted);
    }
    out.Number(count);
    if constexpr (std::is_pointer_v<E> || std::is_integral_v<E>) {
      if (info.handle_kind != 0) {
        for (uint64_t i = 0; i < count && !failure.what; ++i) {
          Word(info, info.handle_kind, intercept::ToWord(from[i]));
        }
        return;
      }
    }
    out.Bytes(from, count * sizeof(E));
  }
  template <class T>
  void Value(const ParamInfo& info, const T& field) {
    if (info.handle_kind != 0) return Word(info, info.handle_kind, intercept::ToWord(field));
    out.Bytes(&field, sizeof field);
  }
  Status Finish(const char* function);
};

/// Visitor of the parameters of a call, on the client.
struct CallEncoder : Encoder {
  template <class Tag, class T>
  void operator()(Tag tag, T& field) {
    CheckCarried<Tag, T>();
    if (failure.what) return;
    if constexpr (!IsPointerShape(Tag::kInfo.shape)) {
      Value(Tag::kInfo, field);
    } else {
      out.Number(uint8_t{field != nullptr});
      if (field) Pointer(tag, field);
    }
  }

  /// Names minted for an object that the call returns travel after the parameters.
  template <class C>
  void Result(C& call) {
    ResultName name{*this};
    call.VisitResult(name);
  }

 private:
  struct ResultName {
    CallEncoder& encode;
    template <class Tag, class T>
    void operator()(Tag, T& field) {
      if constexpr (Tag::kInfo.role == Role::kNew) {
        encode.Word(Tag::kInfo, Tag::kInfo.handle_kind, intercept::ToWord(field));
      }
    }
  };

  template <class Tag, class T>
  void Pointer(Tag tag, T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (IsFlatShape(kInfo.shape)) {
      // A place that is only written needs no bytes: its length is the parameters' to say.
      if constexpr (kInfo.direction == Direction::kOut && kInfo.role != Role::kNew) return;
      Elements(kInfo, reinterpret_cast<const Element<T>*>(field), CountOf(tag));
    } else if constexpr (kInfo.shape == Shape::kCString) {
      const uint64_t length = strlen(reinterpret_cast<const char*>(field));
      out.Number(length);
      out.Bytes(field, length);
    } else if constexpr (kInfo.shape == Shape::kList0) {
      List(tag, field);
    } else {
      static_assert(kInfo.shape == Shape::kStrings || kInfo.shape == Shape::kBlobs);
      Texts(kInfo, reinterpret_cast<const void* const*>(field), tag.Count(), tag.Lengths());
    }
  }

  template <class Tag, class T>
  void List(Tag, T& field) {
    uint32_t pairs = 0;
    while (field[2 * pairs] != 0) {
      if (++pairs > kMostListWords / 2) {
        return failure.Set(Tag::kInfo.name, "has no end");
      }
    }
    out.Number(pairs);
    for (uint32_t i = 0; i < 2 * pairs; i += 2) {
      out.Number(static_cast<uint64_t>(field[i]));
      const uint8_t kind = Tag::KeyHandle(static_cast<int64_t>(field[i]));
      Word(Tag::kInfo, kind, static_cast<uint64_t>(field[i + 1]));
    }
  }

  void Texts(const ParamInfo& info, const void* const* texts, uint64_t count,
             const size_t* lengths);
};

/// Visitor of result and parameters after the call, on the server.
struct ReplyEncoder : Encoder {
  ReplyEncoder(Writer& in_out, Handles& in_handles, bool in_worked)
      : Encoder{in_out, in_handles}, worked(in_worked) {}
  bool worked;

  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (kInfo.direction != Direction::kIn) {
      if (failure.what) return;
      if constexpr (!IsPointerShape(kInfo.shape)) {
        CheckCarried<Tag, T>();
        Value(kInfo, field);  // the result
      } else {
        static_assert(IsFlatShape(kInfo.shape));
        out.Number(uint8_t{field != nullptr});
        if (field) Answer(tag, reinterpret_cast<const Element<T>*>(field));
      }
    }
  }

 private:
  template <class Tag, class E>
  void Answer(Tag tag, const E* from) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    uint64_t count = CountOf(tag);
    // A call that failed has written no more than its error.
    const uint64_t filled = worked || kInfo.role == Role::kError ? tag.Filled() : 0;
    if (filled < count) count = filled;
    if constexpr (kInfo.shape == Shape::kBytes) {
      if (const uint8_t kind = tag.AnswerHandle()) return Objects(kInfo, kind, from, count);
    }
    Elements(kInfo, from, count);
  }
  void Objects(const ParamInfo& info, uint8_t kind, const uint8_t* from, uint64_t bytes);
};

}  // namespace flexai::remote::wire
