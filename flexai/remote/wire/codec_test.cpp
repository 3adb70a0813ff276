// What single rows of the made-up table say on the wire, and lies that a server must not believe.
#include "flexai/remote/wire/codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "toy/calls.h"
#include "toy/resolver.h"

namespace flexai::api::toy {
extern const remote::wire::Thunk kThunks[kFunctionCount];
}

namespace flexai::remote::wire {
namespace {

namespace toy = ::flexai::api::toy;

// Both sides know objects by the same number, 1 to 99.
class SmallHandles : public Handles {
 public:
  bool ToWire(uint8_t kind, uint64_t native, uint64_t* wire) override {
    kinds.push_back(kind);
    *wire = native;
    return native < 100;
  }
  bool FromWire(uint8_t kind, uint64_t wire, uint64_t* native) override {
    return ToWire(kind, wire, native);
  }
  bool Bind(uint8_t, uint64_t wire, uint64_t native) override {
    bound = {wire, native};
    return wire < 100;
  }
  std::vector<uint8_t> kinds;
  std::pair<uint64_t, uint64_t> bound;
};

// Runs `body` on the call that arrived.
template <class C, class F>
Status ServeWith(const std::vector<uint8_t>& message, Handles& handles, Writer& reply, F body) {
  const auto run = [](void* context, uint16_t, void* params) {
    (*static_cast<F*>(context))(*static_cast<C*>(params));
  };
  const Site site = {&toy::kLibrary, &handles, run, &body, 1 << 16};
  return Serve(toy::kThunks, &toy::FindById, site, message.data(), message.size(), reply);
}

template <class C>
std::vector<uint8_t> Encoded(C& call) {
  SmallHandles handles;
  Writer out;
  const Status status =
      EncodeCallMessage(toy::kThunks[C::kIndex], toy::kFunctions[C::kIndex], &call, handles, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return std::vector<uint8_t>(out.data(), out.data() + out.size());
}

template <class C>
Status Decoded(C& call, const Writer& reply) {
  SmallHandles handles;
  return DecodeReplyMessage(toy::kThunks[C::kIndex], toy::kFunctions[C::kIndex], &call, handles,
                            reply.data(), reply.size());
}

TEST(Codec, BytesAreAsDocumented) {
  toy::toy_memory memory = 0x21;  // the name that the client minted
  toy::ToyAllocCall call{reinterpret_cast<toy::toy_context>(0x11), &memory, 4096};
  const std::vector<uint8_t> wanted = {0xbe, 0x89, 0x3d, 0xa1,               // function
                                       0x11, 0,    0,    0,    0, 0, 0, 0,   // context
                                       1,                                    // memory is wanted,
                                       1,    0,    0,    0,    0, 0, 0, 0,   // one,
                                       0x21, 0,    0,    0,    0, 0, 0, 0,   // under this name
                                       0,    0x10, 0,    0,    0, 0, 0, 0};  // size
  EXPECT_EQ(Encoded(call), wanted);
}

TEST(Codec, NewObjectsAreBoundOnlyWhenTheCallWorked) {
  toy::toy_memory memory = 0x21;
  toy::ToyAllocCall call{reinterpret_cast<toy::toy_context>(0x11), &memory, 4096};
  const auto message = Encoded(call);
  SmallHandles handles;
  Writer reply;
  ASSERT_TRUE(ServeWith<toy::ToyAllocCall>(message, handles, reply, [](toy::ToyAllocCall& in) {
                *in.memory = 0x42;
                in.result = toy::TOY_ERROR_MEMORY;
              }).ok());
  EXPECT_EQ(handles.bound.first, 0u);
  ASSERT_TRUE(Decoded(call, reply).ok());
  EXPECT_EQ(call.result, toy::TOY_ERROR_MEMORY);
  EXPECT_EQ(memory, 0x21u);

  reply.Clear();
  ASSERT_TRUE(ServeWith<toy::ToyAllocCall>(message, handles, reply, [](toy::ToyAllocCall& in) {
                *in.memory = 0x42;
              }).ok());
  EXPECT_EQ(handles.bound, std::make_pair(uint64_t{0x21}, uint64_t{0x42}));
}

TEST(Codec, AnswersThatAreObjectsAreTranslated) {
  uint64_t answer[2] = {0, 0x55};
  size_t needed = 0;
  toy::ToyAskCall call{reinterpret_cast<toy::toy_card>(1),
                       static_cast<toy::toy_question>(toy::TOY_CARD_PARENT), sizeof answer, answer,
                       &needed};
  SmallHandles handles;
  Writer reply;
  ASSERT_TRUE(ServeWith<toy::ToyAskCall>(Encoded(call), handles, reply, [](toy::ToyAskCall& in) {
                static_cast<uint64_t*>(in.answer)[0] = 0x33;
                *in.needed = 8;
              }).ok());
  EXPECT_EQ(handles.kinds.back(), static_cast<uint8_t>(toy::HandleKind::kCard));
  ASSERT_TRUE(Decoded(call, reply).ok());
  EXPECT_EQ(answer[0], 0x33u);
  EXPECT_EQ(answer[1], 0x55u);  // past what the driver wrote nothing comes back
  EXPECT_EQ(needed, 8u);

  // An object that the server does not know must not leave it as an address.
  reply.Clear();
  const Status status =
      ServeWith<toy::ToyAskCall>(Encoded(call), handles, reply, [](toy::ToyAskCall& in) {
        static_cast<uint64_t*>(in.answer)[0] = 0x7fff00001234;
        *in.needed = 8;
      });
  EXPECT_EQ(status.message(), "toyAsk: parameter 'answer' names no object that the other side has");
}

TEST(Codec, HugeAnswersAreRefusedBeforeTheDriverIsAsked) {
  char answer[4];
  toy::ToyAskCall call{reinterpret_cast<toy::toy_card>(1), 1, ~size_t{0}, answer, nullptr};
  SmallHandles handles;
  Writer reply;
  bool ran = false;
  const Status status = ServeWith<toy::ToyAskCall>(Encoded(call), handles, reply,
                                                   [&](toy::ToyAskCall&) { ran = true; });
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.ToString();
  EXPECT_FALSE(ran);
}

TEST(Codec, AnArrayShorterThanItsCountIsRefused) {
  const char bytes[64] = {};
  const size_t region[2] = {4, 2};
  toy::ToyCopyRectCall call{7, bytes, region, 8};
  auto message = Encoded(call);
  // from: at 4 + 8; its 12 bytes follow a flag and a length. region[1] then says more than was
  // sent.
  const size_t region_at = 4 + 8 + 1 + 8 + 12 + 1 + 8;
  ASSERT_EQ(message[region_at], 4);
  ASSERT_EQ(message[region_at + 8], 2);
  message[region_at + 8] = 3;
  SmallHandles handles;
  Writer reply;
  Status status = ServeWith<toy::ToyCopyRectCall>(message, handles, reply,
                                                  [](toy::ToyCopyRectCall&) { FAIL(); });
  EXPECT_EQ(status.message(),
            "toyCopyRect: parameter 'from' has not the length that the other parameters say");
  // The array that counts is itself too short: it is not read past its end.
  message = Encoded(call);
  message[region_at - 8] = 1;
  message.erase(message.begin() + static_cast<long>(region_at) + 8,
                message.begin() + static_cast<long>(region_at) + 16);
  status = ServeWith<toy::ToyCopyRectCall>(message, handles, reply,
                                           [](toy::ToyCopyRectCall&) { FAIL(); });
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
}

TEST(Codec, UnknownHandlesAreRefused) {
  toy::ToyFreeCall call{7};
  auto message = Encoded(call);
  message[6] = 1;
  SmallHandles handles;
  Writer reply;
  const Status status =
      ServeWith<toy::ToyFreeCall>(message, handles, reply, [](toy::ToyFreeCall&) { FAIL(); });
  EXPECT_EQ(status.message(), "toyFree: parameter 'memory' names no object");
}

TEST(Codec, AReplyCannotWritePastTheCallersRoom) {
  toy::toy_card cards[2] = {};
  toy::toy_u32 found = 0;
  toy::ToyListCardsCall wide{2, cards, &found};
  SmallHandles handles;
  Writer reply;
  ASSERT_TRUE(ServeWith<toy::ToyListCardsCall>(Encoded(wide), handles, reply,
                                               [](toy::ToyListCardsCall& in) {
                                                 in.cards[0] = reinterpret_cast<toy::toy_card>(1);
                                                 in.cards[1] = reinterpret_cast<toy::toy_card>(2);
                                                 *in.found = 5;
                                               })
                  .ok());
  ASSERT_TRUE(Decoded(wide, reply).ok());
  EXPECT_EQ(found, 5u);
  toy::ToyListCardsCall narrow{1, cards, &found};
  EXPECT_EQ(Decoded(narrow, reply).message(),
            "toyListCards: parameter 'cards' is longer than the caller's room");
  toy::ToyListCardsCall none{2, nullptr, &found};
  EXPECT_FALSE(Decoded(none, reply).ok());
  toy::ToyFreeCall other{7};
  EXPECT_EQ(Decoded(other, reply).message(), "toyFree: a reply to another call");
}

TEST(Codec, TextsKeepTheirLengths) {
  const char* texts[3] = {"ab\0c", "rest", nullptr};
  const size_t lengths[3] = {4, 0, 0};
  toy::toy_status error = 9;
  toy::ToyLoadCall call{nullptr, 3, texts, lengths, nullptr, nullptr, nullptr, &error};
  SmallHandles handles;
  Writer reply;
  std::string first, second;
  const Status status =
      ServeWith<toy::ToyLoadCall>(Encoded(call), handles, reply, [&](toy::ToyLoadCall& in) {
        first.assign(in.texts[0], in.lengths[0]);
        second = in.texts[1];
        EXPECT_EQ(in.texts[2], nullptr);
        *in.error = toy::TOY_ERROR_VALUE;
      });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(first, std::string("ab\0c", 4));
  EXPECT_EQ(second, "rest");
  ASSERT_TRUE(Decoded(call, reply).ok());
  EXPECT_EQ(error, toy::TOY_ERROR_VALUE);
  EXPECT_EQ(call.result, nullptr);
}

TEST(Codec, RefusalsSayWhy) {
  SmallHandles handles;
  Writer out;
  toy::ToyMapCall map{7};
  Status status =
      EncodeCallMessage(toy::kThunks[map.kIndex], toy::kFunctions[map.kIndex], &map, handles, out);
  EXPECT_EQ(status.message(),
            "toyMap does not travel to another machine: the page would have to be seen by both "
            "machines");
  toy::ToyCreateContextCall create{};
  status = EncodeCallMessage(toy::kThunks[create.kIndex], toy::kFunctions[create.kIndex], &create,
                             handles, out);
  EXPECT_EQ(status.message(),
            "toyCreateContext needs a hand-written codec, and this build has none");
}

}  // namespace
}  // namespace flexai::remote::wire
