// A call and its reply as bytes. Everything is a template over the generated call structs, so a
// table row is described once; docs/formats/wire.md says which bytes come out. Called by the client
// (EncodeCall, DecodeReply) and by a server (Serve).
// A server trusts no length, count or handle in a message; a client trusts none in a reply.
#pragma once

#include "flexai/base/status.h"
#include "flexai/intercept/call.h"
#include "flexai/remote/wire/buffer.h"
#include "flexai/remote/wire/decode.h"
#include "flexai/remote/wire/encode.h"
#include "flexai/remote/wire/handles.h"

namespace flexai::remote::wire {

/// What a server needs to carry out a call.
struct Site {
  const intercept::LibraryInfo* library;
  Handles* handles;
  /// Runs function `index` with its generated struct: the chassis with its stages and driver.
  void (*run)(void* context, uint16_t index, void* params);
  void* context;
  /// The most memory that parameters and answers of one call may take.
  uint64_t most_bytes;
};

/// The codec of one function. Messages are without their function's id here.
struct Thunk {
  const char* name;
  uint32_t id;
  /// A number that changes when names, types or notes of the row change.
  uint32_t (*digest)();
  /// The call in `params`. Each place for a new object holds the name minted for it, or zero.
  Status (*encode_call)(const intercept::FnInfo& info, void* params, Handles& handles, Writer& out);
  /// Decodes a call, runs it, and writes what goes back.
  Status (*serve)(const Site& site, Reader& call, Writer& reply);
  /// Writes what came back where `params` points to.
  Status (*decode_reply)(const intercept::FnInfo& info, void* params, Handles& handles,
                         Reader& reply);
};

/// Whether the generic codec carries calls of this row.
template <class C>
inline constexpr bool kCarried = !C::kCustom && (C::kWire == intercept::WireClass::kSync ||
                                                 C::kWire == intercept::WireClass::kAsync);

/// Why a function does not travel, by its name. Only for rows that are not carried.
Status Refusal(const intercept::FnInfo& info);

/// Hashes what a row says of one parameter.
struct DigestParam {
  uint32_t digest = 0x811c9dc5u;
  void Add(const char* text);
  void Add(uint8_t byte) { digest = (digest ^ byte) * 0x01000193u; }
  template <class Tag, class T>
  void operator()(Tag, T&) {
    constexpr intercept::ParamInfo kInfo = Tag::kInfo;
    Add(kInfo.name);
    Add(kInfo.type);
    Add(static_cast<uint8_t>(kInfo.direction));
    Add(static_cast<uint8_t>(kInfo.shape));
    Add(static_cast<uint8_t>(kInfo.role));
    Add(kInfo.handle_kind);
    Add(kInfo.optional);
  }
};

template <class C>
struct CodecOf {
  static uint32_t Digest() {
    C call{};
    DigestParam digest;
    digest.Add(C::kName);
    digest.Add(static_cast<uint8_t>(C::kWire));
    digest.Add(static_cast<uint8_t>(C::kCustom));
    call.VisitParams(digest);
    call.VisitResult(digest);
    return digest.digest;
  }

  static Status EncodeCall(const intercept::FnInfo& info, void* params, Handles& handles,
                           Writer& out) {
    if constexpr (!kCarried<C>) {
      return Refusal(info);
    } else {
      C& call = *static_cast<C*>(params);
      CallEncoder encode{{out, handles}};
      call.VisitParams(encode);
      encode.Result(call);
      return encode.Finish(C::kName);
    }
  }

  static Status Serve(const Site& site, Reader& in, Writer& reply) {
    const intercept::FnInfo& info = site.library->functions[C::kIndex];
    if constexpr (!kCarried<C>) {
      return Refusal(info);
    } else {
      C call{};
      Memory memory(site.most_bytes);
      Incoming incoming;
      FLEXAI_RETURN_IF_ERROR(DecodeCall(call, in, *site.handles, memory, incoming));
      site.run(site.context, C::kIndex, &call);
      const bool worked =
          intercept::IsOk(site.library->ops[C::kIndex].fields, &call, info.errors[0]);
      if (worked) {
        BindNew bind{*site.handles, incoming};
        call.VisitResult(bind);
        call.VisitParams(bind);
        FLEXAI_RETURN_IF_ERROR(bind.Finish(C::kName));
      }
      ReplyEncoder encode{reply, *site.handles, worked};
      call.VisitResult(encode);
      call.VisitParams(encode);
      return encode.Finish(C::kName);
    }
  }

  static Status DecodeReply(const intercept::FnInfo& info, void* params, Handles& handles,
                            Reader& in) {
    if constexpr (!kCarried<C>) {
      return Refusal(info);
    } else {
      C& call = *static_cast<C*>(params);
      ReplyDecoder decode{{in, handles}};
      call.VisitResult(decode);
      call.VisitParams(decode);
      return decode.Finish(C::kName);
    }
  }
};

template <class C>
constexpr Thunk ThunkOf() {
  return {C::kName,
          C::kId,
          &CodecOf<C>::Digest,
          &CodecOf<C>::EncodeCall,
          &CodecOf<C>::Serve,
          &CodecOf<C>::DecodeReply};
}

/// One number for a whole table: equal on both sides if every row is.
uint32_t TableDigest(const Thunk* thunks, uint16_t count);

/// Writes the message of a call: the function's id, then its parameters.
Status EncodeCallMessage(const Thunk& thunk, const intercept::FnInfo& info, void* params,
                         Handles& handles, Writer& out);

/// Carries out the call in `message` and writes the message that goes back: the function's id, then
/// result and out parameters. `find` is the generated FindById.
/// Errors: kUnimplemented (a function that does not travel, by name, or an unknown id);
/// kInvalidArgument (a message that no client of ours writes); kResourceExhausted (too large).
/// The reply is to be thrown away then.
Status Serve(const Thunk* thunks, int (*find)(uint32_t), const Site& site, const void* message,
             uint64_t bytes, Writer& reply);

/// Puts a reply into the call that asked. Out parameters may be half written after an error.
Status DecodeReplyMessage(const Thunk& thunk, const intercept::FnInfo& info, void* params,
                          Handles& handles, const void* message, uint64_t bytes);

}  // namespace flexai::remote::wire
