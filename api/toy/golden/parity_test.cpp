// Generated from api/toy/toy.toml by tools/gen; do not edit.
#include <gtest/gtest.h>

#include <cstddef>

#include "flexai/intercept/parity.h"
#include "toy/calls.h"

// Our values are read before the vendor's macros take their names.
namespace flexai::api::toy {
namespace ours {
constexpr int64_t kValues[] = {
    TOY_OK,
    TOY_ERROR_VALUE,
    TOY_ERROR_MEMORY,
    TOY_ERROR_UNSUPPORTED,
    TOY_ERROR_OTHER,
    TOY_ERROR_NO_CARD,
    TOY_CARD_NAME,
    TOY_CARD_PARENT,
    TOY_PROPERTY_CARD,
};
}  // namespace ours
}  // namespace flexai::api::toy

#define TOY_TARGET_VERSION 20
#include <toy_vendor.h>

namespace flexai::intercept::parity {

template <>
struct SameClass<std::remove_pointer_t<flexai::api::toy::toy_card>, std::remove_pointer_t<::toy_card>> : std::true_type {};
template <>
struct SameClass<std::remove_pointer_t<flexai::api::toy::toy_context>, std::remove_pointer_t<::toy_context>> : std::true_type {};
template <>
struct SameClass<std::remove_pointer_t<flexai::api::toy::toy_module>, std::remove_pointer_t<::toy_module>> : std::true_type {};
template <>
struct SameClass<flexai::api::toy::toy_grid, ::toy_grid> : std::true_type {};
template <>
struct SameClass<flexai::api::toy::toy_label, ::toy_label> : std::true_type {};

namespace toy {
namespace ours {
using namespace ::flexai::api::toy;
using ::flexai::api::toy::ours::kValues;
}  // namespace ours

constexpr Fact kFacts[] = {
    {"type toy_status", SameType<ours::toy_status, ::toy_status>::value},
    {"type toy_u32", SameType<ours::toy_u32, ::toy_u32>::value},
    {"type toy_memory", SameType<ours::toy_memory, ::toy_memory>::value},
    {"type toy_property", SameType<ours::toy_property, ::toy_property>::value},
    {"type toy_question", SameType<ours::toy_question, ::toy_question>::value},
    {"type toy_card", SameType<ours::toy_card, ::toy_card>::value},
    {"type toy_context", SameType<ours::toy_context, ::toy_context>::value},
    {"type toy_module", SameType<ours::toy_module, ::toy_module>::value},
    {"size of toy_grid", sizeof(ours::toy_grid) == sizeof(::toy_grid)},
    {"offset of toy_grid.count", offsetof(ours::toy_grid, count) == offsetof(::toy_grid, count)},
    {"type of toy_grid.count",
     SameType<decltype(ours::toy_grid::count), decltype(::toy_grid::count)>::value},
    {"offset of toy_grid.shared_bytes", offsetof(ours::toy_grid, shared_bytes) == offsetof(::toy_grid, shared_bytes)},
    {"type of toy_grid.shared_bytes",
     SameType<decltype(ours::toy_grid::shared_bytes), decltype(::toy_grid::shared_bytes)>::value},
    {"offset of toy_grid.flags", offsetof(ours::toy_grid, flags) == offsetof(::toy_grid, flags)},
    {"type of toy_grid.flags",
     SameType<decltype(ours::toy_grid::flags), decltype(::toy_grid::flags)>::value},
    {"size of toy_label", sizeof(ours::toy_label) == sizeof(::toy_label)},
    {"alignment of toy_label", alignof(ours::toy_label) == alignof(::toy_label)},
    {"slot of toyListCards", offsetof(::toy_dispatch, toyListCards) == 0 * sizeof(void*)},
    {"prototype of toyListCards",
     SameType<ours::ToyListCardsCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyListCards)>>::value},
    {"slot of toyAsk", offsetof(::toy_dispatch, toyAsk) == 1 * sizeof(void*)},
    {"prototype of toyAsk",
     SameType<ours::ToyAskCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyAsk)>>::value},
    {"slot of toyCreateContext", offsetof(::toy_dispatch, toyCreateContext) == 2 * sizeof(void*)},
    {"prototype of toyCreateContext",
     SameType<ours::ToyCreateContextCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyCreateContext)>>::value},
    {"slot of toyAlloc", offsetof(::toy_dispatch, toyAlloc) == 3 * sizeof(void*)},
    {"prototype of toyAlloc",
     SameType<ours::ToyAllocCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyAlloc)>>::value},
    {"slot of toyFree", offsetof(::toy_dispatch, toyFree) == 4 * sizeof(void*)},
    {"prototype of toyFree",
     SameType<ours::ToyFreeCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyFree)>>::value},
    {"prototype of toyCopyRect",
     SameType<ours::ToyCopyRectCall::Signature, decltype(::toyCopyRect)>::value},
    {"slot of toyLoad", offsetof(::toy_dispatch, toyLoad) == 6 * sizeof(void*)},
    {"prototype of toyLoad",
     SameType<ours::ToyLoadCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyLoad)>>::value},
    {"slot of toyLaunch", offsetof(::toy_dispatch, toyLaunch) == 7 * sizeof(void*)},
    {"prototype of toyLaunch",
     SameType<ours::ToyLaunchCall::Signature, std::remove_pointer_t<decltype(::toy_dispatch::toyLaunch)>>::value},
    {"prototype of toySync",
     SameType<ours::ToySyncCall::Signature, decltype(::toySync)>::value},
    {"prototype of toyMap",
     SameType<ours::ToyMapCall::Signature, decltype(::toyMap)>::value},
    {"prototype of toyLookUp",
     SameType<ours::ToyLookUpCall::Signature, decltype(::toyLookUp)>::value},
    {"prototype of toyVersionEXT",
     SameType<ours::ToyVersionEXTCall::Signature, decltype(::toyVersionEXT)>::value},
    {"reserved slot of toyWindowsOnly", offsetof(::toy_dispatch, toyWindowsOnly) == 5 * sizeof(void*)},
    {"size of toy_dispatch", sizeof(::toy_dispatch) == 8 * sizeof(void*)},
    {"value of TOY_OK", ours::kValues[0] == static_cast<int64_t>(TOY_OK)},
    {"value of TOY_ERROR_VALUE", ours::kValues[1] == static_cast<int64_t>(TOY_ERROR_VALUE)},
    {"value of TOY_ERROR_MEMORY", ours::kValues[2] == static_cast<int64_t>(TOY_ERROR_MEMORY)},
    {"value of TOY_ERROR_UNSUPPORTED", ours::kValues[3] == static_cast<int64_t>(TOY_ERROR_UNSUPPORTED)},
    {"value of TOY_ERROR_OTHER", ours::kValues[4] == static_cast<int64_t>(TOY_ERROR_OTHER)},
    {"value of TOY_ERROR_NO_CARD", ours::kValues[5] == static_cast<int64_t>(TOY_ERROR_NO_CARD)},
    {"value of TOY_CARD_NAME", ours::kValues[6] == static_cast<int64_t>(TOY_CARD_NAME)},
    {"value of TOY_CARD_PARENT", ours::kValues[7] == static_cast<int64_t>(TOY_CARD_PARENT)},
    {"value of TOY_PROPERTY_CARD", ours::kValues[8] == static_cast<int64_t>(TOY_PROPERTY_CARD)},
};

TEST(Parity, Toy) {
  for (const Fact& fact : kFacts) EXPECT_TRUE(fact.holds) << fact.what << " differs from the vendor's";
}

}  // namespace toy
}  // namespace flexai::intercept::parity
