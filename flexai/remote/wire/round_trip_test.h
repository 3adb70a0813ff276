// The parts of round_trip_test.cpp: made-up parameters for any row, a text of what a call holds,
// and the test of one row.
#pragma once

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flexai/remote/wire/codec.h"

namespace flexai::remote::wire {

/// Objects of one side: native = wire + base, so that a handle that was not translated is seen.
class TestHandles : public Handles {
 public:
  explicit TestHandles(uint64_t base) : base_(base) {}
  bool ToWire(uint8_t, uint64_t native, uint64_t* wire) override {
    if (native <= base_) return false;
    *wire = native - base_;
    return true;
  }
  bool FromWire(uint8_t, uint64_t wire, uint64_t* native) override {
    *native = wire + base_;
    return true;
  }
  bool Bind(uint8_t, uint64_t wire, uint64_t native) override {
    return bound_.emplace(wire, native).second;
  }
  uint64_t base() const { return base_; }
  const std::map<uint64_t, uint64_t>& bound() const { return bound_; }

 private:
  uint64_t base_;
  std::map<uint64_t, uint64_t> bound_;
};

/// What a made-up call is like.
enum class Mode { kFull, kOptionalsNull, kZero, kAllNull };

/// Keeps what made-up parameters point to.
struct Keep {
  std::vector<std::unique_ptr<char[]>> pieces;
  char* Take(uint64_t bytes) {
    pieces.push_back(std::make_unique<char[]>(bytes + 64));
    return pieces.back().get();
  }
};

/// Fills a call as an application would, in three visits: numbers; arrays of numbers; the rest.
struct FillCall {
  Mode mode;
  uint64_t base;
  Keep& keep;
  int pass = 0;
  uint64_t number = 3;

  template <class Tag, class T>
  void operator()(Tag tag, T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (!IsPointerShape(kInfo.shape)) {
      if (pass != 0) return;
      if constexpr (kInfo.handle_kind != 0) {
        field = FromWord<T>(mode == Mode::kZero ? 0 : base + 0x40 + kInfo.position);
      } else if constexpr (std::is_integral_v<T>) {
        field = static_cast<T>(mode == Mode::kZero ? 0 : number);
      }
    } else {
      if (mode == Mode::kAllNull || (mode == Mode::kOptionalsNull && kInfo.optional)) return;
      constexpr bool kEarly = kInfo.shape == Shape::kOne || kInfo.shape == Shape::kArray;
      if (pass == (kEarly ? 1 : 2)) Pointer(tag, field);
    }
  }

 private:
  template <class Tag, class T>
  void Pointer([[maybe_unused]] Tag tag, T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (IsFlatShape(kInfo.shape)) {
      using E = Element<T>;
      const uint64_t count = CountOf(tag);
      ASSERT_LT(count, 10000u) << kInfo.name;
      auto* to = reinterpret_cast<E*>(keep.Take(count * sizeof(E)));
      field = reinterpret_cast<T>(to);
      if (kInfo.direction == Direction::kOut && kInfo.role != Role::kNew) return;
      for (uint64_t i = 0; i < count; ++i) {
        if constexpr (kInfo.handle_kind != 0) {
          to[i] = FromWord<E>(base + 0x100 * (kInfo.position + 1u) + i);
        } else if constexpr (std::is_integral_v<E>) {
          to[i] = static_cast<E>(2 + i % 2);
        } else {
          for (uint64_t at = 0; at + 4 <= sizeof(E); at += 4) {
            reinterpret_cast<char*>(to + i)[at] = 2;  // numbers of 2 in a struct
          }
        }
      }
    } else if constexpr (kInfo.shape == Shape::kCString) {
      field = keep.Take(16);
      memcpy(const_cast<char*>(reinterpret_cast<const char*>(field)), "name", 4);
    } else if constexpr (kInfo.shape == Shape::kList0) {
      using E = Element<T>;
      auto* to = reinterpret_cast<E*>(keep.Take(5 * sizeof(E)));
      const E list[] = {0x7001, 1, 0x7002, 2, 0};
      memcpy(to, list, mode == Mode::kZero ? 0 : sizeof list);
      field = to;
    } else {
      auto** to = reinterpret_cast<char**>(keep.Take(tag.Count() * sizeof(char*)));
      for (uint64_t i = 0; i < tag.Count(); ++i) {
        const uint64_t length = tag.Lengths() ? tag.Lengths()[i] : 4;
        to[i] = keep.Take(length);
        memset(to[i], 'a' + static_cast<int>(i % 26), length);
      }
      field = static_cast<T>(static_cast<void*>(to));
    }
  }
};

/// Writes result and out parameters as a driver would: numbers first, then arrays.
struct FillOut {
  uint64_t base;
  int pass = 0;

  template <class Tag, class T>
  void operator()([[maybe_unused]] Tag tag, [[maybe_unused]] T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (kInfo.direction != Direction::kIn) {
      if constexpr (!IsPointerShape(kInfo.shape)) {
        if constexpr (kInfo.handle_kind != 0) field = FromWord<T>(base + 0x900);
      } else if (field) {
        using E = Element<T>;
        const bool early = kInfo.shape == Shape::kOne;
        if (pass != (early ? 0 : 1)) return;
        uint64_t count = CountOf(tag);
        if (!early && tag.Filled() < count) count = tag.Filled();
        auto* to = reinterpret_cast<E*>(field);
        for (uint64_t i = 0; i < count; ++i) {
          if constexpr (kInfo.handle_kind != 0) {
            to[i] = FromWord<E>(base + 0x1000 * (kInfo.position + 1u) + i);
          } else if constexpr (kInfo.role == Role::kError) {
            to[i] = {};
          } else if constexpr (std::is_integral_v<E>) {
            to[i] = static_cast<E>(2 + i % 50);
          }
        }
      }
    }
  }
};

/// A text of what a call holds, with handles as the numbers that both sides know.
struct Dump {
  uint64_t base;
  bool outs;  // what the driver wrote, or what the application gave
  std::string text = "";

  void Add(const char* what, uint64_t value) {
    char line[64];
    snprintf(line, sizeof line, "%s%llx ", what, static_cast<unsigned long long>(value));
    text += line;
  }
  uint64_t Named(uint64_t native) const { return native ? native - base : 0; }

  template <class Tag, class T>
  void operator()(Tag tag, T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    constexpr bool kIn = kInfo.direction != Direction::kOut;
    constexpr bool kOut = kInfo.direction != Direction::kIn;
    if (outs ? !kOut : false) return;
    text += std::string("\n") + kInfo.name + ": ";
    if constexpr (!IsPointerShape(kInfo.shape)) {
      const uint64_t word = intercept::ToWord(field);
      Add("", kInfo.handle_kind ? Named(word) : word);
    } else if (!field) {
      text += "null";
    } else if (!outs && !kIn) {
      text += "a place";
      if constexpr (kInfo.role != Role::kNew) Add(" for ", CountOf(tag));
    } else {
      Pointer(tag, field);
    }
  }

 private:
  template <class Tag, class T>
  void Pointer(Tag tag, T& field) {
    constexpr ParamInfo kInfo = Tag::kInfo;
    if constexpr (IsFlatShape(kInfo.shape)) {
      using E = Element<T>;
      uint64_t count = CountOf(tag);
      if (outs && tag.Filled() < count) count = tag.Filled();
      Add("count ", count);
      auto* from = reinterpret_cast<const E*>(field);
      for (uint64_t i = 0; i < count; ++i) {
        if constexpr (kInfo.handle_kind != 0) {
          Add("", Named(intercept::ToWord(from[i])));
        } else {
          for (uint64_t at = 0; at < sizeof(E); ++at) {
            Add("", reinterpret_cast<const uint8_t*>(from + i)[at]);
          }
        }
      }
    } else if constexpr (kInfo.shape == Shape::kCString) {
      text += reinterpret_cast<const char*>(field);
    } else if constexpr (kInfo.shape == Shape::kList0) {
      for (int i = 0; field[i] != 0; ++i) Add("", static_cast<uint64_t>(field[i]));
    } else {
      auto* texts = reinterpret_cast<const char* const*>(field);
      for (uint64_t i = 0; i < tag.Count(); ++i) {
        if (!texts[i]) continue;
        const uint64_t length = tag.Lengths() ? tag.Lengths()[i] : strlen(texts[i]);
        text += std::string(texts[i], length) + ",";
      }
    }
  }
};

template <class C>
std::string DumpOf(C& call, uint64_t base, bool outs) {
  Dump dump{base, outs};
  call.VisitParams(dump);
  if (outs) call.VisitResult(dump);
  return dump.text;
}

/// The driver of the far side: notes what arrived, and writes answers.
template <class C>
struct FarSide {
  static constexpr uint64_t kBase = 0x2000000;
  std::string arrived;
  std::string answered;

  static void Run(void* context, uint16_t index, void* params) {
    EXPECT_EQ(index, C::kIndex);
    auto* side = static_cast<FarSide*>(context);
    C& call = *static_cast<C*>(params);
    side->arrived = DumpOf(call, kBase, false);
    FillOut fill{kBase};
    call.VisitParams(fill);
    fill.pass = 1;
    call.VisitParams(fill);
    call.VisitResult(fill);
    side->answered = DumpOf(call, kBase, true);
  }
};

/// Seeds for the fuzzer: FLEXAI_WRITE_CORPUS=FOLDER keeps one message of each row.
inline void KeepSeed(const char* name, const Writer& message) {
  const char* folder = getenv("FLEXAI_WRITE_CORPUS");
  FILE* file = folder ? fopen((std::string(folder) + "/" + name).c_str(), "wb") : nullptr;
  if (!file) return;
  fputc(0, file);  // the fuzzer's first byte: a call
  fwrite(message.data(), 1, message.size(), file);
  fclose(file);
}

/// What happens to a message on its way must never be more than a refusal.
template <class C>
void Damage(const Thunk& thunk, const intercept::LibraryInfo& library, const Writer& message) {
  FarSide<C> far;
  TestHandles handles(FarSide<C>::kBase);
  const Site site = {&library, &handles, &FarSide<C>::Run, &far, 1 << 20};
  std::vector<uint8_t> bytes(message.data(), message.data() + message.size());
  for (uint64_t cut = 0; cut < bytes.size(); ++cut) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<long>(cut));
    Reader in(part.data(), part.size());
    Writer reply;
    EXPECT_FALSE(thunk.serve(site, in, reply).ok()) << "cut at " << cut;
  }
  for (uint64_t at = 0; at < bytes.size(); ++at) {
    for (const uint8_t flip : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> bad = bytes;
      bad[at] ^= flip;
      Reader in(bad.data(), bad.size());
      Writer reply;
      TestHandles fresh(FarSide<C>::kBase);
      Site other = site;
      other.handles = &fresh;
      (void)thunk.serve(other, in, reply).ok();
    }
  }
  bytes.push_back(0);
  Reader in(bytes.data(), bytes.size());
  Writer reply;
  EXPECT_FALSE(thunk.serve(site, in, reply).ok()) << "a byte too many";
}

template <class C>
void TestMode(const Thunk& thunk, const intercept::LibraryInfo& library, int (*find)(uint32_t),
              Mode mode) {
  constexpr uint64_t kNear = 0x1000000;
  Keep keep;
  C call{};
  FillCall fill{mode, kNear, keep};
  for (fill.pass = 0; fill.pass < 3; ++fill.pass) call.VisitParams(fill);
  if constexpr (C::kReturns == intercept::Returns::kHandle) {
    call.result = FromWord<decltype(call.result)>(kNear + 0x77);
  }
  const std::string given = DumpOf(call, kNear, false);

  TestHandles near_handles(kNear);
  const intercept::FnInfo& info = library.functions[C::kIndex];
  Writer message;
  Status status = EncodeCallMessage(thunk, info, &call, near_handles, message);
  ASSERT_TRUE(status.ok()) << status.ToString();

  if (mode == Mode::kFull) KeepSeed(C::kName, message);
  FarSide<C> far;
  TestHandles far_handles(FarSide<C>::kBase);
  const Site site = {&library, &far_handles, &FarSide<C>::Run, &far, 1 << 20};
  Writer reply;
  const Thunk* thunks = &thunk - C::kIndex;
  status = Serve(thunks, find, site, message.data(), message.size(), reply);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(far.arrived, given);
  if constexpr (C::kReturns == intercept::Returns::kHandle) {
    EXPECT_EQ(far_handles.bound().count(0x77), 1u);
  }

  status = DecodeReplyMessage(thunk, info, &call, near_handles, reply.data(), reply.size());
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(DumpOf(call, kNear, true), far.answered);
  for (uint64_t cut = 0; cut < reply.size(); ++cut) {
    C again = call;
    EXPECT_FALSE(DecodeReplyMessage(thunk, info, &again, near_handles, reply.data(), cut).ok());
  }

  Writer body;
  C fresh{};
  FillCall refill{mode, kNear, keep};
  for (refill.pass = 0; refill.pass < 3; ++refill.pass) fresh.VisitParams(refill);
  ASSERT_TRUE(thunk.encode_call(info, &fresh, near_handles, body).ok());
  Damage<C>(thunk, library, body);
}

/// One row in every mode; a row that does not travel is refused by its name on both sides.
template <class C>
void TestRow(const Thunk& thunk, const intercept::LibraryInfo& library, int (*find)(uint32_t)) {
  if constexpr (kCarried<C>) {
    for (const Mode mode : {Mode::kFull, Mode::kOptionalsNull, Mode::kZero, Mode::kAllNull}) {
      SCOPED_TRACE(static_cast<int>(mode));
      TestMode<C>(thunk, library, find, mode);
      if (testing::Test::HasFatalFailure()) return;
    }
  } else {
    TestHandles handles(0x1000);
    C call{};
    Writer out;
    const intercept::FnInfo& info = library.functions[C::kIndex];
    const Status encoded = thunk.encode_call(info, &call, handles, out);
    EXPECT_EQ(encoded.code(), Code::kUnimplemented);
    EXPECT_NE(encoded.message().find(C::kName), std::string_view::npos);
    const Site site = {&library, &handles, nullptr, nullptr, 1 << 20};
    const uint32_t id = C::kId;
    const Status served = Serve(&thunk - C::kIndex, find, site, &id, sizeof id, out);
    EXPECT_EQ(served.code(), Code::kUnimplemented);
    EXPECT_NE(served.message().find(C::kName), std::string_view::npos);
  }
}

}  // namespace flexai::remote::wire
