// Reading: a call's parameters on the server, its result and out parameters on the client.
// A call is read in three passes, because a count may stand in a later parameter than the array it
// counts: everything that was sent; then whether each length is what the parameters say; then
// memory for what the driver will write.
#pragma once

#include "flexai/remote/wire/buffer.h"
#include "flexai/remote/wire/field.h"
#include "flexai/remote/wire/handles.h"

namespace flexai::remote::wire {

/// Stands for the length of a text that is null.
inline constexpr uint64_t kNoText = ~uint64_t{0};

/// What a message said, by position of the parameter, before anything is believed.
struct Incoming {
  bool present[kMostParams] = {};
  uint64_t count[kMostParams] = {};
  const uint64_t* lengths[kMostParams] = {};  // of each text
  const uint64_t* names[kMostParams] = {};    // minted for new objects
};

/// What both directions read.
struct Decoder {
  Reader& in;
  Handles& handles;
  Failure failure = {};

  bool Fail(const ParamInfo& info, const char* what) {
    failure.Set(info.name, what);
    return false;
  }
  bool Word(const ParamInfo& info, uint8_t kind, uint64_t* native);
  bool Present(const ParamInfo& info, bool* present);
  /// A length of elements that take at least `element_bytes` each in what is left.
  bool Length(const ParamInfo& info, uint64_t element_bytes, uint64_t* count);

  template <class T>
  bool Value(const ParamInfo& info, T& field) {
    if constexpr (std::is_pointer_v<T> || std::is_integral_v<T>) {
      if (info.handle_kind != 0) {
        uint64_t native = 0;
        if (!Word(info, info.handle_kind, &native)) return false;
        field = FromWord<T>(native);
        return true;
      }
    }
    const uint8_t* from = in.Take(sizeof field);
    if (!from) return Fail(info, "is cut off");
    memcpy(&field, from, sizeof field);
    return true;
  }
  /// `count` elements whose bytes are known to be there.
  template <class E>
  bool Elements(const ParamInfo& info, uint8_t kind, E* to, uint64_t count) {
    if constexpr (std::is_pointer_v<E> || std::is_integral_v<E>) {
      if (kind != 0) {
        for (uint64_t i = 0; i < count; ++i) {
          uint64_t native = 0;
          if (!Word(info, kind, &native)) return false;
          to[i] = FromWord<E>(native);
        }
        return true;
      }
    }
    const uint8_t* from = in.Take(count * sizeof(E));
    if (!from) return Fail(info, "is cut off");
    if (count > 0) memcpy(to, from, count * sizeof(E));
    return true;
  }
  Status Finish(const char* function);
};

/// First pass: what was sent.
struct CallDecoder : Decoder {
  CallDecoder(Reader& in_reader, Handles& in_handles, Memory& in_memory, Incoming& in_incoming)
      : Decoder{in_reader, in_handles}, memory(in_memory), incoming(in_incoming) {}
  Memory& memory;
  Incoming& incoming;

  template <class Tag, class T>
  void operator()(Tag, T& field) {
    CheckCarried<Tag, T>();
    if (failure.what) return;
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (!IsPointerShape(kInfo.shape)) {
      Value(kInfo, field);
    } else {
      bool& present = incoming.present[kInfo.position];
      if (!Present(kInfo, &present) || !present) return;
      if constexpr (kInfo.role == Role::kNew) {
        Names(kInfo, &incoming.count[kInfo.position]);
      } else if constexpr (kInfo.direction != Direction::kOut) {
        Pointer<Tag>(field);
      }
    }
  }

  template <class C>
  void Result(C& call) {
    ResultName name{*this};
    call.VisitResult(name);
  }

 private:
  struct ResultName {
    CallDecoder& decode;
    template <class Tag, class T>
    void operator()(Tag, T&) {
      if constexpr (Tag::kInfo.role == Role::kNew) decode.OneName(Tag::kInfo);
    }
  };

  template <class Tag, class T>
  void Pointer(T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (IsFlatShape(kInfo.shape)) {
      using E = Element<T>;
      const uint64_t on_wire = kInfo.handle_kind != 0 ? sizeof(uint64_t) : sizeof(E);
      uint64_t& count = incoming.count[kInfo.position];
      if (!Length(kInfo, on_wire, &count)) return;
      auto* to = static_cast<E*>(Room(kInfo, count * sizeof(E)));
      if (!to || !Elements(kInfo, kInfo.handle_kind, to, count)) return;
      field = reinterpret_cast<T>(to);
    } else if constexpr (kInfo.shape == Shape::kCString) {
      uint64_t length = 0;
      if (void* text = Text(kInfo, &length)) field = static_cast<T>(text);
    } else if constexpr (kInfo.shape == Shape::kList0) {
      List<Tag>(field);
    } else {
      field = static_cast<T>(static_cast<void*>(Texts(kInfo)));
    }
  }

  template <class Tag, class T>
  void List(T& field) {
    using E = Element<T>;
    uint32_t pairs = 0;
    if (!in.Number(&pairs) || pairs > kMostListWords / 2) {
      Fail(Tag::kInfo, "has no end");
      return;
    }
    auto* to = static_cast<E*>(Room(Tag::kInfo, (2 * uint64_t{pairs} + 1) * sizeof(E)));
    if (!to) return;
    for (uint32_t i = 0; i < pairs; ++i) {
      uint64_t key = 0;
      uint64_t value = 0;
      if (!in.Number(&key)) {
        Fail(Tag::kInfo, "is cut off");
        return;
      }
      const E element = static_cast<E>(key);
      if (element == 0) {
        Fail(Tag::kInfo, "ends before its end");
        return;
      }
      if (!Word(Tag::kInfo, Tag::KeyHandle(static_cast<int64_t>(element)), &value)) return;
      to[2 * i] = element;
      to[2 * i + 1] = static_cast<E>(value);
    }
    field = to;
  }

  void* Room(const ParamInfo& info, uint64_t bytes);
  void* Text(const ParamInfo& info, uint64_t* length);
  void** Texts(const ParamInfo& info);
  bool Names(const ParamInfo& info, uint64_t* count);
  void OneName(const ParamInfo& info);
};

/// Second pass: lengths against what the parameters say, flat arrays before texts, whose lengths
/// are a flat array.
template <bool kTexts>
struct CountChecker {
  const Incoming& incoming;
  Failure failure = {};

  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    constexpr bool kIsText = kInfo.shape == Shape::kStrings || kInfo.shape == Shape::kBlobs;
    constexpr bool kSent = kInfo.direction != Direction::kOut || kInfo.role == Role::kNew;
    if constexpr (kIsText == kTexts && (kIsText || IsFlatShape(kInfo.shape)) && kSent) {
      if (failure.what || !incoming.present[kInfo.position]) return;
      const uint64_t sent = incoming.count[kInfo.position];
      if (sent != CountOf(tag)) {
        failure.Set(kInfo.name, "has not the length that the other parameters say");
      }
      if constexpr (kIsText) CheckLengths(kInfo, sent, tag.Lengths());
    }
  }

 private:
  void CheckLengths(const ParamInfo& info, uint64_t count, const size_t* lengths) {
    const uint64_t* sent = incoming.lengths[info.position];
    if (!lengths && info.shape == Shape::kBlobs && count > 0) {
      failure.Set(info.name, "comes without its lengths");
    }
    for (uint64_t i = 0; i < count && lengths && !failure.what; ++i) {
      const bool to_zero = info.shape == Shape::kStrings && lengths[i] == 0;
      // A null text is the driver's to refuse, as it would at home.
      if (sent[i] == kNoText || to_zero) continue;
      if (lengths[i] != sent[i]) failure.Set(info.name, "contradicts its lengths");
    }
  }
};

/// Third pass: memory for what the driver writes.
struct RoomMaker {
  Memory& memory;
  const Incoming& incoming;
  Failure failure = {};

  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (kInfo.direction == Direction::kOut && IsFlatShape(kInfo.shape)) {
      using E = Element<T>;
      if (failure.what || !incoming.present[kInfo.position]) return;
      const uint64_t bytes = intercept::Times(CountOf(tag), sizeof(E));
      field = reinterpret_cast<T>(bytes > kMostMessageBytes ? nullptr : memory.Take(bytes));
      if (!field) failure.Set(kInfo.name, "asks for too large an answer", Code::kResourceExhausted);
    }
  }
};

/// Fills `call` from a message; what its pointers point to lives in `memory`.
template <class C>
Status DecodeCall(C& call, Reader& in, Handles& handles, Memory& memory, Incoming& incoming) {
  CallDecoder decode{in, handles, memory, incoming};
  call.VisitParams(decode);
  if (!decode.failure.what) decode.Result(call);
  FLEXAI_RETURN_IF_ERROR(decode.Finish(C::kName));
  CountChecker<false> arrays{incoming};
  call.VisitParams(arrays);
  if (arrays.failure.what) return arrays.failure.ToStatus(C::kName);
  CountChecker<true> texts{incoming};
  call.VisitParams(texts);
  if (texts.failure.what) return texts.failure.ToStatus(C::kName);
  RoomMaker room{memory, incoming};
  call.VisitParams(room);
  if (room.failure.what) return room.failure.ToStatus(C::kName);
  return Status();
}

/// After a call that worked: the names that the client minted get their objects.
struct BindNew {
  Handles& handles;
  const Incoming& incoming;
  Failure failure = {};

  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (kInfo.role == Role::kNew && IsPointerShape(kInfo.shape)) {
      const uint64_t count = tag.Filled() < CountOf(tag) ? tag.Filled() : CountOf(tag);
      for (uint64_t i = 0; field && i < count; ++i) One(kInfo, i, intercept::ToWord(field[i]));
    } else if constexpr (kInfo.role == Role::kNew) {
      One(kInfo, 0, intercept::ToWord(field));
    }
  }
  Status Finish(const char* function) const { return failure.ToStatus(function); }

 private:
  void One(const ParamInfo& info, uint64_t index, uint64_t native) {
    const uint64_t* names = incoming.names[info.position];
    if (!names || names[index] == 0 || native == 0 || failure.what) return;
    if (!handles.Bind(info.handle_kind, names[index], native)) {
      failure.Set(info.name, "has a name that is taken");
    }
  }
};

/// Visitor of result and parameters of a call that waits for its reply, on the client.
struct ReplyDecoder : Decoder {
  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (kInfo.direction != Direction::kIn) {
      if (failure.what) return;
      if constexpr (!IsPointerShape(kInfo.shape)) {
        Value(kInfo, field);
      } else {
        bool present = false;
        if (!Present(kInfo, &present)) return;
        if (present != (field != nullptr)) {
          Fail(kInfo, "was not asked for, or was and is missing");
          return;
        }
        if (present) Answer(tag, reinterpret_cast<Element<T>*>(field));
      }
    }
  }

 private:
  template <class Tag, class E>
  void Answer(Tag tag, E* to) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    const uint64_t on_wire = kInfo.handle_kind != 0 ? sizeof(uint64_t) : sizeof(E);
    uint64_t count = 0;
    if (!Length(kInfo, on_wire, &count)) return;
    if (count > CountOf(tag)) {
      Fail(kInfo, "is longer than the caller's room");
      return;
    }
    if constexpr (kInfo.shape == Shape::kBytes) {
      if (const uint8_t kind = tag.AnswerHandle()) {
        Objects(kInfo, kind, to, count);
        return;
      }
    }
    Elements(kInfo, kInfo.handle_kind, to, count);
  }
  bool Objects(const ParamInfo& info, uint8_t kind, uint8_t* to, uint64_t bytes);
};

}  // namespace flexai::remote::wire
