// Generated from api/toy/toy.toml by tools/gen; do not edit.

#pragma once

#include "flexai/intercept/call.h"
#include "flexai/intercept/param.h"
#include "toy/types.h"

namespace flexai::api::toy {

inline constexpr uint16_t kFunctionCount = 12;

inline constexpr const char* kHandleKinds[] = {"none", "card", "context", "module", "memory"};

/// Vendor codes by flexai::Code; [0] is success.
inline constexpr int64_t kErrors[intercept::kCodes] = {TOY_OK, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_VALUE, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_MEMORY, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_UNSUPPORTED, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER};

inline constexpr int64_t kErrorsOfToyListCards[intercept::kCodes] = {TOY_OK, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_VALUE, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_MEMORY, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_NO_CARD, TOY_ERROR_OTHER, TOY_ERROR_OTHER, TOY_ERROR_OTHER};

/// Toy manual, 1 Cards
struct ToyListCardsCall {
  static constexpr const char* kName = "toyListCards";
  static constexpr uint16_t kIndex = 0;
  static constexpr uint32_t kId = 0x4ad34828;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kDeviceList;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_u32, toy_card*, toy_u32*);

  toy_u32 capacity = {};
  toy_card* cards = {};
  toy_u32* found = {};
  toy_status result = {};

  struct CapacityTag : intercept::ParamTag<ToyListCardsCall> {
    using intercept::ParamTag<ToyListCardsCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "capacity", "toy_u32", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kNone,
        0, false, sizeof(toy_u32)};
  };
  struct CardsTag : intercept::ParamTag<ToyListCardsCall> {
    using intercept::ParamTag<ToyListCardsCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "cards", "toy_card*", 1,
        intercept::Direction::kOut, intercept::Shape::kArray, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kCard), true, sizeof(toy_card)};
    uint64_t Count() const { return uint64_t(call.capacity); }
    uint64_t Filled() const {
      return call.found ? static_cast<uint64_t>(*call.found) : ~uint64_t{0};
    }
  };
  struct FoundTag : intercept::ParamTag<ToyListCardsCall> {
    using intercept::ParamTag<ToyListCardsCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "found", "toy_u32*", 2,
        intercept::Direction::kOut, intercept::Shape::kOne, intercept::Role::kNone,
        0, true, sizeof(toy_u32)};
  };
  struct ResultTag : intercept::ParamTag<ToyListCardsCall> {
    using intercept::ParamTag<ToyListCardsCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 3, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(CapacityTag{*this}, capacity);
    v(CardsTag{*this}, cards);
    v(FoundTag{*this}, found);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(capacity, cards, found);
  }
};

/// Toy manual, 1 Cards
struct ToyAskCall {
  static constexpr const char* kName = "toyAsk";
  static constexpr uint16_t kIndex = 1;
  static constexpr uint32_t kId = 0xf29cfcda;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kDeviceQuery;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_card, toy_question, size_t, void*, size_t*);

  toy_card card = {};
  toy_question question = {};
  size_t size = {};
  void* answer = {};
  size_t* needed = {};
  toy_status result = {};

  struct CardTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "card", "toy_card", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kCard), false, sizeof(toy_card)};
  };
  struct QuestionTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "question", "toy_question", 1,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kNone,
        0, false, sizeof(toy_question)};
  };
  struct SizeTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "size", "size_t", 2,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kNone,
        0, false, sizeof(size_t)};
  };
  struct AnswerTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "answer", "void*", 3,
        intercept::Direction::kOut, intercept::Shape::kBytes, intercept::Role::kNone,
        0, true, 1};
    uint64_t Count() const { return uint64_t(call.size); }
    uint64_t Filled() const {
      return call.needed ? static_cast<uint64_t>(*call.needed) : ~uint64_t{0};
    }
    uint8_t AnswerHandle() const {
      switch (call.question) {
        case TOY_CARD_PARENT:
          return static_cast<uint8_t>(HandleKind::kCard);
        default:
          return 0;
      }
    }
  };
  struct NeededTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "needed", "size_t*", 4,
        intercept::Direction::kOut, intercept::Shape::kOne, intercept::Role::kNone,
        0, true, sizeof(size_t)};
  };
  struct ResultTag : intercept::ParamTag<ToyAskCall> {
    using intercept::ParamTag<ToyAskCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 5, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(CardTag{*this}, card);
    v(QuestionTag{*this}, question);
    v(SizeTag{*this}, size);
    v(AnswerTag{*this}, answer);
    v(NeededTag{*this}, needed);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(card, question, size, answer, needed);
  }
};

/// Toy manual, 2 Contexts
struct ToyCreateContextCall {
  static constexpr const char* kName = "toyCreateContext";
  static constexpr uint16_t kIndex = 2;
  static constexpr uint32_t kId = 0xa499487c;
  static constexpr bool kCustom = true;
  static constexpr intercept::Event kEvent = intercept::Event::kContextCreate;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kHandle;
  using Signature = toy_context(const toy_property*, toy_notify, void*, toy_status*);

  const toy_property* properties = {};
  toy_notify notify = {};
  void* user_data = {};
  toy_status* error = {};
  toy_context result = {};

  struct PropertiesTag : intercept::ParamTag<ToyCreateContextCall> {
    using intercept::ParamTag<ToyCreateContextCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "properties", "const toy_property*", 0,
        intercept::Direction::kIn, intercept::Shape::kList0, intercept::Role::kNone,
        0, true, sizeof(const toy_property)};
    static constexpr uint8_t KeyHandle(int64_t key) {
      switch (key) {
        case TOY_PROPERTY_CARD:
          return static_cast<uint8_t>(HandleKind::kCard);
        default:
          return 0;
      }
    }
  };
  struct NotifyTag : intercept::ParamTag<ToyCreateContextCall> {
    using intercept::ParamTag<ToyCreateContextCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "notify", "toy_notify", 1,
        intercept::Direction::kIn, intercept::Shape::kCallback, intercept::Role::kNone,
        0, true, sizeof(toy_notify)};
  };
  struct UserDataTag : intercept::ParamTag<ToyCreateContextCall> {
    using intercept::ParamTag<ToyCreateContextCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "user_data", "void*", 2,
        intercept::Direction::kIn, intercept::Shape::kOpaque, intercept::Role::kNone,
        0, true, 1};
  };
  struct ErrorTag : intercept::ParamTag<ToyCreateContextCall> {
    using intercept::ParamTag<ToyCreateContextCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "error", "toy_status*", 3,
        intercept::Direction::kOut, intercept::Shape::kOne, intercept::Role::kError,
        0, true, sizeof(toy_status)};
  };
  struct ResultTag : intercept::ParamTag<ToyCreateContextCall> {
    using intercept::ParamTag<ToyCreateContextCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_context", 4, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNew, static_cast<uint8_t>(HandleKind::kContext), false, sizeof(toy_context)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(PropertiesTag{*this}, properties);
    v(NotifyTag{*this}, notify);
    v(UserDataTag{*this}, user_data);
    v(ErrorTag{*this}, error);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(properties, notify, user_data, error);
  }
};

/// Toy manual, 3 Memory
struct ToyAllocCall {
  static constexpr const char* kName = "toyAlloc";
  static constexpr uint16_t kIndex = 3;
  static constexpr uint32_t kId = 0xa13d89be;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kMemoryAlloc;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_context, toy_memory*, size_t);

  toy_context context = {};
  toy_memory* memory = {};
  size_t size = {};
  toy_status result = {};

  struct ContextTag : intercept::ParamTag<ToyAllocCall> {
    using intercept::ParamTag<ToyAllocCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "context", "toy_context", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kContext), false, sizeof(toy_context)};
  };
  struct MemoryTag : intercept::ParamTag<ToyAllocCall> {
    using intercept::ParamTag<ToyAllocCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "memory", "toy_memory*", 1,
        intercept::Direction::kOut, intercept::Shape::kOne, intercept::Role::kNew,
        static_cast<uint8_t>(HandleKind::kMemory), false, sizeof(toy_memory)};
  };
  struct SizeTag : intercept::ParamTag<ToyAllocCall> {
    using intercept::ParamTag<ToyAllocCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "size", "size_t", 2,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kCharge,
        0, false, sizeof(size_t)};
    uint64_t Charge() const { return uint64_t(call.size); }
  };
  struct ResultTag : intercept::ParamTag<ToyAllocCall> {
    using intercept::ParamTag<ToyAllocCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 3, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(ContextTag{*this}, context);
    v(MemoryTag{*this}, memory);
    v(SizeTag{*this}, size);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(context, memory, size);
  }
};

/// Toy manual, 3 Memory
struct ToyFreeCall {
  static constexpr const char* kName = "toyFree";
  static constexpr uint16_t kIndex = 4;
  static constexpr uint32_t kId = 0x0bfb6763;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kMemoryFree;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kAsync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_memory);

  toy_memory memory = {};
  toy_status result = {};

  struct MemoryTag : intercept::ParamTag<ToyFreeCall> {
    using intercept::ParamTag<ToyFreeCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "memory", "toy_memory", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kDrop,
        static_cast<uint8_t>(HandleKind::kMemory), false, sizeof(toy_memory)};
  };
  struct ResultTag : intercept::ParamTag<ToyFreeCall> {
    using intercept::ParamTag<ToyFreeCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 1, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(MemoryTag{*this}, memory);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(memory);
  }
};

/// Toy manual, 3 Memory
struct ToyCopyRectCall {
  static constexpr const char* kName = "toyCopyRect";
  static constexpr uint16_t kIndex = 5;
  static constexpr uint32_t kId = 0xb939017a;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kCopy;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kAsync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_memory, const void*, const size_t*, size_t);

  toy_memory to = {};
  const void* from = {};
  const size_t* region = {};
  size_t pitch = {};
  toy_status result = {};

  struct ToTag : intercept::ParamTag<ToyCopyRectCall> {
    using intercept::ParamTag<ToyCopyRectCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "to", "toy_memory", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kMemory), false, sizeof(toy_memory)};
  };
  struct FromTag : intercept::ParamTag<ToyCopyRectCall> {
    using intercept::ParamTag<ToyCopyRectCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "from", "const void*", 1,
        intercept::Direction::kIn, intercept::Shape::kBytes, intercept::Role::kNone,
        0, false, 1};
    uint64_t Count() const { return intercept::Plus(intercept::Times(intercept::Minus(intercept::At(call.region, 1), uint64_t{1}), intercept::Most(uint64_t(call.pitch), intercept::At(call.region, 0))), intercept::At(call.region, 0)); }
  };
  struct RegionTag : intercept::ParamTag<ToyCopyRectCall> {
    using intercept::ParamTag<ToyCopyRectCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "region", "const size_t*", 2,
        intercept::Direction::kIn, intercept::Shape::kArray, intercept::Role::kNone,
        0, false, sizeof(const size_t)};
    uint64_t Count() const { return uint64_t{2}; }
  };
  struct PitchTag : intercept::ParamTag<ToyCopyRectCall> {
    using intercept::ParamTag<ToyCopyRectCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "pitch", "size_t", 3,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kNone,
        0, false, sizeof(size_t)};
  };
  struct ResultTag : intercept::ParamTag<ToyCopyRectCall> {
    using intercept::ParamTag<ToyCopyRectCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 4, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(ToTag{*this}, to);
    v(FromTag{*this}, from);
    v(RegionTag{*this}, region);
    v(PitchTag{*this}, pitch);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(to, from, region, pitch);
  }
};

/// Toy manual, 4 Modules
struct ToyLoadCall {
  static constexpr const char* kName = "toyLoad";
  static constexpr uint16_t kIndex = 6;
  static constexpr uint32_t kId = 0x1277da91;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kModuleLoad;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kHandle;
  using Signature = toy_module(toy_context, toy_u32, const char**, const size_t*, const unsigned char**, const size_t*, const char*, toy_status*);

  toy_context context = {};
  toy_u32 count = {};
  const char** texts = {};
  const size_t* lengths = {};
  const unsigned char** images = {};
  const size_t* image_sizes = {};
  const char* options = {};
  toy_status* error = {};
  toy_module result = {};

  struct ContextTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "context", "toy_context", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kContext), false, sizeof(toy_context)};
  };
  struct CountTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "count", "toy_u32", 1,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kNone,
        0, false, sizeof(toy_u32)};
  };
  struct TextsTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "texts", "const char**", 2,
        intercept::Direction::kIn, intercept::Shape::kStrings, intercept::Role::kNone,
        0, false, sizeof(const char*)};
    uint64_t Count() const { return uint64_t(call.count); }
    const size_t* Lengths() const { return call.lengths; }
  };
  struct LengthsTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "lengths", "const size_t*", 3,
        intercept::Direction::kIn, intercept::Shape::kArray, intercept::Role::kNone,
        0, true, sizeof(const size_t)};
    uint64_t Count() const { return uint64_t(call.count); }
  };
  struct ImagesTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "images", "const unsigned char**", 4,
        intercept::Direction::kIn, intercept::Shape::kBlobs, intercept::Role::kNone,
        0, true, sizeof(const unsigned char*)};
    uint64_t Count() const { return uint64_t(call.count); }
    const size_t* Lengths() const { return call.image_sizes; }
  };
  struct ImageSizesTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "image_sizes", "const size_t*", 5,
        intercept::Direction::kIn, intercept::Shape::kArray, intercept::Role::kNone,
        0, true, sizeof(const size_t)};
    uint64_t Count() const { return uint64_t(call.count); }
  };
  struct OptionsTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "options", "const char*", 6,
        intercept::Direction::kIn, intercept::Shape::kCString, intercept::Role::kNone,
        0, true, sizeof(const char)};
  };
  struct ErrorTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "error", "toy_status*", 7,
        intercept::Direction::kOut, intercept::Shape::kOne, intercept::Role::kError,
        0, true, sizeof(toy_status)};
  };
  struct ResultTag : intercept::ParamTag<ToyLoadCall> {
    using intercept::ParamTag<ToyLoadCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_module", 8, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNew, static_cast<uint8_t>(HandleKind::kModule), false, sizeof(toy_module)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(ContextTag{*this}, context);
    v(CountTag{*this}, count);
    v(TextsTag{*this}, texts);
    v(LengthsTag{*this}, lengths);
    v(ImagesTag{*this}, images);
    v(ImageSizesTag{*this}, image_sizes);
    v(OptionsTag{*this}, options);
    v(ErrorTag{*this}, error);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(context, count, texts, lengths, images, image_sizes, options, error);
  }
};

/// Toy manual, 5 Launching
struct ToyLaunchCall {
  static constexpr const char* kName = "toyLaunch";
  static constexpr uint16_t kIndex = 7;
  static constexpr uint32_t kId = 0xd584865e;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kLaunch;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kStatus;
  using Signature = toy_status(toy_module, const toy_grid*, toy_u32*);

  toy_module module = {};
  const toy_grid* grid = {};
  toy_u32* counters = {};
  toy_status result = {};

  struct ModuleTag : intercept::ParamTag<ToyLaunchCall> {
    using intercept::ParamTag<ToyLaunchCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "module", "toy_module", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kModule), false, sizeof(toy_module)};
  };
  struct GridTag : intercept::ParamTag<ToyLaunchCall> {
    using intercept::ParamTag<ToyLaunchCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "grid", "const toy_grid*", 1,
        intercept::Direction::kIn, intercept::Shape::kOne, intercept::Role::kNone,
        0, false, sizeof(const toy_grid)};
  };
  struct CountersTag : intercept::ParamTag<ToyLaunchCall> {
    using intercept::ParamTag<ToyLaunchCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "counters", "toy_u32*", 2,
        intercept::Direction::kInOut, intercept::Shape::kArray, intercept::Role::kNone,
        0, true, sizeof(toy_u32)};
    uint64_t Count() const { return (call.grid ? uint64_t(call.grid->flags) : 0); }
  };
  struct ResultTag : intercept::ParamTag<ToyLaunchCall> {
    using intercept::ParamTag<ToyLaunchCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_status", 3, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_status)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(ModuleTag{*this}, module);
    v(GridTag{*this}, grid);
    v(CountersTag{*this}, counters);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(module, grid, counters);
  }
  static uint64_t QueueOf([[maybe_unused]] toy_module module, [[maybe_unused]] const toy_grid* grid, [[maybe_unused]] toy_u32* counters) {
    return uint64_t(module);
  }
  static uint64_t HandleOf([[maybe_unused]] toy_module module, [[maybe_unused]] const toy_grid* grid, [[maybe_unused]] toy_u32* counters) {
    return intercept::ToWord(module);
  }
};

/// Toy manual, 6 Waiting
struct ToySyncCall {
  static constexpr const char* kName = "toySync";
  static constexpr uint16_t kIndex = 8;
  static constexpr uint32_t kId = 0x4966d742;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kSync;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kVoid;
  using Signature = void(toy_context);

  toy_context context = {};

  struct ContextTag : intercept::ParamTag<ToySyncCall> {
    using intercept::ParamTag<ToySyncCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "context", "toy_context", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kContext), false, sizeof(toy_context)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(ContextTag{*this}, context);
  }
  template <class V>
  void VisitResult([[maybe_unused]] V& v) {
  }
  template <class F>
  auto Apply(F function) {
    return function(context);
  }
};

/// Toy manual, 3 Memory
struct ToyMapCall {
  static constexpr const char* kName = "toyMap";
  static constexpr uint16_t kIndex = 9;
  static constexpr uint32_t kId = 0xba013859;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kNone;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kRefuse;
  static constexpr intercept::Returns kReturns = intercept::Returns::kPointer;
  using Signature = void*(toy_memory);

  toy_memory memory = {};
  void* result = {};

  struct MemoryTag : intercept::ParamTag<ToyMapCall> {
    using intercept::ParamTag<ToyMapCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "memory", "toy_memory", 0,
        intercept::Direction::kIn, intercept::Shape::kValue, intercept::Role::kHandle,
        static_cast<uint8_t>(HandleKind::kMemory), false, sizeof(toy_memory)};
  };
  struct ResultTag : intercept::ParamTag<ToyMapCall> {
    using intercept::ParamTag<ToyMapCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "void*", 1, intercept::Direction::kOut,
        intercept::Shape::kOpaque, intercept::Role::kNone, 0, false, sizeof(void*)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(MemoryTag{*this}, memory);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(memory);
  }
};

/// Toy manual, 7 Extensions
struct ToyLookUpCall {
  static constexpr const char* kName = "toyLookUp";
  static constexpr uint16_t kIndex = 10;
  static constexpr uint32_t kId = 0xbc66bdd3;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kNone;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kLocal;
  static constexpr intercept::Returns kReturns = intercept::Returns::kPointer;
  using Signature = void*(const char*);

  const char* name = {};
  void* result = {};

  struct NameTag : intercept::ParamTag<ToyLookUpCall> {
    using intercept::ParamTag<ToyLookUpCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "name", "const char*", 0,
        intercept::Direction::kIn, intercept::Shape::kCString, intercept::Role::kNone,
        0, false, sizeof(const char)};
  };
  struct ResultTag : intercept::ParamTag<ToyLookUpCall> {
    using intercept::ParamTag<ToyLookUpCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "void*", 1, intercept::Direction::kOut,
        intercept::Shape::kOpaque, intercept::Role::kNone, 0, false, sizeof(void*)};
  };

  template <class V>
  void VisitParams(V& v) {
    v(NameTag{*this}, name);
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function(name);
  }
};

/// Toy extensions, toy_ext_version
struct ToyVersionEXTCall {
  static constexpr const char* kName = "toyVersionEXT";
  static constexpr uint16_t kIndex = 11;
  static constexpr uint32_t kId = 0x14b0c082;
  static constexpr bool kCustom = false;
  static constexpr intercept::Event kEvent = intercept::Event::kNone;
  static constexpr intercept::WireClass kWire = intercept::WireClass::kSync;
  static constexpr intercept::Returns kReturns = intercept::Returns::kValue;
  using Signature = toy_u32();

  toy_u32 result = {};

  struct ResultTag : intercept::ParamTag<ToyVersionEXTCall> {
    using intercept::ParamTag<ToyVersionEXTCall>::ParamTag;
    static constexpr intercept::ParamInfo kInfo = {
        "result", "toy_u32", 0, intercept::Direction::kOut,
        intercept::Shape::kValue, intercept::Role::kNone, 0, false, sizeof(toy_u32)};
  };

  template <class V>
  void VisitParams([[maybe_unused]] V& v) {
  }
  template <class V>
  void VisitResult(V& v) {
    v(ResultTag{*this}, result);
  }
  template <class F>
  auto Apply(F function) {
    return function();
  }
};

inline constexpr intercept::FnInfo kFunctions[kFunctionCount] = {
    {"toyListCards", 0x4ad34828, 0, intercept::Event::kDeviceList, intercept::WireClass::kSync,
     false, 0, kErrorsOfToyListCards, ""},
    {"toyAsk", 0xf29cfcda, 1, intercept::Event::kDeviceQuery, intercept::WireClass::kSync,
     false, 1, kErrors, ""},
    {"toyCreateContext", 0xa499487c, 2, intercept::Event::kContextCreate, intercept::WireClass::kSync,
     true, 2, kErrors, ""},
    {"toyAlloc", 0xa13d89be, 3, intercept::Event::kMemoryAlloc, intercept::WireClass::kSync,
     false, 3, kErrors, ""},
    {"toyFree", 0x0bfb6763, 4, intercept::Event::kMemoryFree, intercept::WireClass::kAsync,
     false, 4, kErrors, ""},
    {"toyCopyRect", 0xb939017a, 5, intercept::Event::kCopy, intercept::WireClass::kAsync,
     false, -1, kErrors, ""},
    {"toyLoad", 0x1277da91, 6, intercept::Event::kModuleLoad, intercept::WireClass::kSync,
     false, 6, kErrors, ""},
    {"toyLaunch", 0xd584865e, 7, intercept::Event::kLaunch, intercept::WireClass::kSync,
     false, 7, kErrors, ""},
    {"toySync", 0x4966d742, 8, intercept::Event::kSync, intercept::WireClass::kSync,
     false, -1, kErrors, ""},
    {"toyMap", 0xba013859, 9, intercept::Event::kNone, intercept::WireClass::kRefuse,
     false, -1, kErrors, "the page would have to be seen by both machines"},
    {"toyLookUp", 0xbc66bdd3, 10, intercept::Event::kNone, intercept::WireClass::kLocal,
     false, -1, kErrors, ""},
    {"toyVersionEXT", 0x14b0c082, 11, intercept::Event::kNone, intercept::WireClass::kSync,
     false, -1, kErrors, ""},
};

/// The library as the chassis sees it; defined in the generated ops.cpp.
extern const intercept::LibraryInfo kLibrary;

}  // namespace flexai::api::toy
