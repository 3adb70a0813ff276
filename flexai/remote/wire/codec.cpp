#include "flexai/remote/wire/codec.h"

#include <string>

namespace flexai::remote::wire {

Status Failure::ToStatus(const char* function) const {
  if (!what) return Status();
  std::string message = function;
  if (param && *param) {
    message += ": parameter '";
    message += param;
    message += "'";
  }
  return Status(code, message + " " + what);
}

void Encoder::Word(const ParamInfo& info, uint8_t kind, uint64_t native) {
  uint64_t wire = native;
  if (kind != 0 && native != 0 && !handles.ToWire(kind, native, &wire)) {
    return failure.Set(info.name, "names no object that the other side has");
  }
  out.Number(wire);
}

Status Encoder::Finish(const char* function) {
  if (!out.ok()) failure.Set("", "is longer than a message", Code::kResourceExhausted);
  return failure.ToStatus(function);
}

void CallEncoder::Texts(const ParamInfo& info, const void* const* texts, uint64_t count,
                        const size_t* lengths) {
  if (count > kMostStrings) {
    return failure.Set(info.name, "has too many texts", Code::kResourceExhausted);
  }
  if (info.shape == Shape::kBlobs && !lengths && count > 0) {
    return failure.Set(info.name, "comes without its lengths");
  }
  out.Number(count);
  for (uint64_t i = 0; i < count && out.ok(); ++i) {
    out.Number(uint8_t{texts[i] != nullptr});
    if (!texts[i]) continue;
    const bool to_zero = info.shape == Shape::kStrings && (!lengths || lengths[i] == 0);
    const uint64_t length = to_zero ? strlen(static_cast<const char*>(texts[i])) : lengths[i];
    out.Number(length);
    out.Bytes(texts[i], length);
  }
}

void ReplyEncoder::Objects(const ParamInfo& info, uint8_t kind, const uint8_t* from,
                           uint64_t bytes) {
  out.Number(bytes);
  uint64_t at = 0;
  for (; bytes - at >= sizeof(uint64_t) && !failure.what; at += sizeof(uint64_t)) {
    uint64_t native = 0;
    memcpy(&native, from + at, sizeof native);
    Word(info, kind, native);
  }
  out.Bytes(from + at, bytes - at);
}

bool Decoder::Word(const ParamInfo& info, uint8_t kind, uint64_t* native) {
  uint64_t wire = 0;
  if (!in.Number(&wire)) return Fail(info, "is cut off");
  *native = wire;
  if (kind == 0 || wire == 0) return true;
  if (!handles.FromWire(kind, wire, native)) return Fail(info, "names no object");
  return true;
}

bool Decoder::Present(const ParamInfo& info, bool* present) {
  uint8_t flag = 0;
  if (!in.Number(&flag)) return Fail(info, "is cut off");
  if (flag > 1) return Fail(info, "is neither there nor null");
  *present = flag == 1;
  return true;
}

bool Decoder::Length(const ParamInfo& info, uint64_t element_bytes, uint64_t* count) {
  uint64_t sent = 0;
  if (!in.Number(&sent)) return Fail(info, "is cut off");
  if (sent > in.remaining() / element_bytes) return Fail(info, "is longer than the message");
  *count = sent;
  return true;
}

Status Decoder::Finish(const char* function) {
  if (in.remaining() != 0) failure.Set("", "is followed by bytes that nobody asked for");
  return failure.ToStatus(function);
}

void* CallDecoder::Room(const ParamInfo& info, uint64_t bytes) {
  void* room = memory.Take(bytes);
  if (!room) failure.Set(info.name, "takes too much memory", Code::kResourceExhausted);
  return room;
}

void* CallDecoder::Text(const ParamInfo& info, uint64_t* length) {
  if (!Length(info, 1, length)) return nullptr;
  void* room = Room(info, *length + 1);
  if (room && *length > 0) memcpy(room, in.Take(*length), *length);
  return room;
}

void** CallDecoder::Texts(const ParamInfo& info) {
  uint64_t& count = incoming.count[info.position];
  if (!Length(info, 1, &count)) return nullptr;
  auto* texts = static_cast<void**>(Room(info, count * sizeof(void*)));
  auto* lengths = static_cast<uint64_t*>(Room(info, count * sizeof(uint64_t)));
  if (!texts || !lengths) return nullptr;
  for (uint64_t i = 0; i < count && !failure.what; ++i) {
    bool present = false;
    if (!Present(info, &present)) break;
    lengths[i] = kNoText;
    if (present) texts[i] = Text(info, &lengths[i]);
  }
  incoming.lengths[info.position] = lengths;
  return failure.what ? nullptr : texts;
}

bool CallDecoder::Names(const ParamInfo& info, uint64_t* count) {
  if (!Length(info, sizeof(uint64_t), count)) return false;
  auto* names = static_cast<uint64_t*>(Room(info, *count * sizeof(uint64_t)));
  if (!names) return false;
  if (*count > 0) memcpy(names, in.Take(*count * sizeof(uint64_t)), *count * sizeof(uint64_t));
  incoming.names[info.position] = names;
  return true;
}

void CallDecoder::OneName(const ParamInfo& info) {
  auto* name = static_cast<uint64_t*>(Room(info, sizeof(uint64_t)));
  if (!name) return;
  if (!in.Number(name)) {
    Fail(info, "is cut off");
    return;
  }
  incoming.names[info.position] = name;
}

bool ReplyDecoder::Objects(const ParamInfo& info, uint8_t kind, uint8_t* to, uint64_t bytes) {
  uint64_t at = 0;
  for (; bytes - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
    uint64_t native = 0;
    if (!Word(info, kind, &native)) return false;
    memcpy(to + at, &native, sizeof native);
  }
  return Elements(info, 0, to + at, bytes - at);
}

void DigestParam::Add(const char* text) {
  for (; *text; ++text) Add(static_cast<uint8_t>(*text));
  Add(uint8_t{0});
}

Status Refusal(const intercept::FnInfo& info) {
  std::string message = info.name;
  if (info.wire == intercept::WireClass::kRefuse) {
    return Status(Code::kUnimplemented,
                  message + " does not travel to another machine: " + info.reason,
                  "run this program on the machine that has the card");
  }
  if (info.wire == intercept::WireClass::kLocal) {
    return Status(Code::kUnimplemented, message + " is answered on the caller's own machine");
  }
  return Status(Code::kUnimplemented,
                message + " needs a hand-written codec, and this build has none");
}

uint32_t TableDigest(const Thunk* thunks, uint16_t count) {
  DigestParam digest;
  for (uint16_t i = 0; i < count; ++i) {
    const uint32_t row = thunks[i].digest();
    for (int byte = 0; byte < 4; ++byte) digest.Add(static_cast<uint8_t>(row >> (8 * byte)));
  }
  return digest.digest;
}

Status EncodeCallMessage(const Thunk& thunk, const intercept::FnInfo& info, void* params,
                         Handles& handles, Writer& out) {
  out.Number(thunk.id);
  return thunk.encode_call(info, params, handles, out);
}

Status Serve(const Thunk* thunks, int (*find)(uint32_t), const Site& site, const void* message,
             uint64_t bytes, Writer& reply) {
  Reader in(message, bytes);
  uint32_t id = 0;
  if (!in.Number(&id)) return Status(Code::kInvalidArgument, "a call without a function");
  const int index = find(id);
  if (index < 0 || index >= site.library->count) {
    return Status(
        Code::kUnimplemented,
        "no function of " + std::string(site.library->name) + " has the id " + std::to_string(id),
        "use the same version of flexai on both machines");
  }
  reply.Number(id);
  return thunks[index].serve(site, in, reply);
}

Status DecodeReplyMessage(const Thunk& thunk, const intercept::FnInfo& info, void* params,
                          Handles& handles, const void* message, uint64_t bytes) {
  Reader in(message, bytes);
  uint32_t id = 0;
  if (!in.Number(&id) || id != thunk.id) {
    return Status(Code::kInvalidArgument, std::string(thunk.name) + ": a reply to another call");
  }
  return thunk.decode_reply(info, params, handles, in);
}

}  // namespace flexai::remote::wire
