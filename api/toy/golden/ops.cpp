// Generated from api/toy/toy.toml by tools/gen; do not edit.

#include "flexai/intercept/ops.h"
#include "toy/calls.h"

namespace flexai::api::toy {
namespace {

constexpr intercept::FieldInfo kFieldsOfToyListCardsCall[] = {
    intercept::FieldOf<ToyListCardsCall::CapacityTag, decltype(ToyListCardsCall::capacity)>(
        offsetof(ToyListCardsCall, capacity)),
    intercept::FieldOf<ToyListCardsCall::CardsTag, decltype(ToyListCardsCall::cards)>(
        offsetof(ToyListCardsCall, cards)),
    intercept::FieldOf<ToyListCardsCall::FoundTag, decltype(ToyListCardsCall::found)>(
        offsetof(ToyListCardsCall, found)),
    intercept::FieldOf<ToyListCardsCall::ResultTag, decltype(ToyListCardsCall::result)>(
        offsetof(ToyListCardsCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyAskCall[] = {
    intercept::FieldOf<ToyAskCall::CardTag, decltype(ToyAskCall::card)>(
        offsetof(ToyAskCall, card)),
    intercept::FieldOf<ToyAskCall::QuestionTag, decltype(ToyAskCall::question)>(
        offsetof(ToyAskCall, question)),
    intercept::FieldOf<ToyAskCall::SizeTag, decltype(ToyAskCall::size)>(
        offsetof(ToyAskCall, size)),
    intercept::FieldOf<ToyAskCall::AnswerTag, decltype(ToyAskCall::answer)>(
        offsetof(ToyAskCall, answer)),
    intercept::FieldOf<ToyAskCall::NeededTag, decltype(ToyAskCall::needed)>(
        offsetof(ToyAskCall, needed)),
    intercept::FieldOf<ToyAskCall::ResultTag, decltype(ToyAskCall::result)>(
        offsetof(ToyAskCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyCreateContextCall[] = {
    intercept::FieldOf<ToyCreateContextCall::PropertiesTag, decltype(ToyCreateContextCall::properties)>(
        offsetof(ToyCreateContextCall, properties)),
    intercept::FieldOf<ToyCreateContextCall::NotifyTag, decltype(ToyCreateContextCall::notify)>(
        offsetof(ToyCreateContextCall, notify)),
    intercept::FieldOf<ToyCreateContextCall::UserDataTag, decltype(ToyCreateContextCall::user_data)>(
        offsetof(ToyCreateContextCall, user_data)),
    intercept::FieldOf<ToyCreateContextCall::ErrorTag, decltype(ToyCreateContextCall::error)>(
        offsetof(ToyCreateContextCall, error)),
    intercept::FieldOf<ToyCreateContextCall::ResultTag, decltype(ToyCreateContextCall::result)>(
        offsetof(ToyCreateContextCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyAllocCall[] = {
    intercept::FieldOf<ToyAllocCall::ContextTag, decltype(ToyAllocCall::context)>(
        offsetof(ToyAllocCall, context)),
    intercept::FieldOf<ToyAllocCall::MemoryTag, decltype(ToyAllocCall::memory)>(
        offsetof(ToyAllocCall, memory)),
    intercept::FieldOf<ToyAllocCall::SizeTag, decltype(ToyAllocCall::size)>(
        offsetof(ToyAllocCall, size)),
    intercept::FieldOf<ToyAllocCall::ResultTag, decltype(ToyAllocCall::result)>(
        offsetof(ToyAllocCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyFreeCall[] = {
    intercept::FieldOf<ToyFreeCall::MemoryTag, decltype(ToyFreeCall::memory)>(
        offsetof(ToyFreeCall, memory)),
    intercept::FieldOf<ToyFreeCall::ResultTag, decltype(ToyFreeCall::result)>(
        offsetof(ToyFreeCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyCopyRectCall[] = {
    intercept::FieldOf<ToyCopyRectCall::ToTag, decltype(ToyCopyRectCall::to)>(
        offsetof(ToyCopyRectCall, to)),
    intercept::FieldOf<ToyCopyRectCall::FromTag, decltype(ToyCopyRectCall::from)>(
        offsetof(ToyCopyRectCall, from)),
    intercept::FieldOf<ToyCopyRectCall::RegionTag, decltype(ToyCopyRectCall::region)>(
        offsetof(ToyCopyRectCall, region)),
    intercept::FieldOf<ToyCopyRectCall::PitchTag, decltype(ToyCopyRectCall::pitch)>(
        offsetof(ToyCopyRectCall, pitch)),
    intercept::FieldOf<ToyCopyRectCall::ResultTag, decltype(ToyCopyRectCall::result)>(
        offsetof(ToyCopyRectCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyLoadCall[] = {
    intercept::FieldOf<ToyLoadCall::ContextTag, decltype(ToyLoadCall::context)>(
        offsetof(ToyLoadCall, context)),
    intercept::FieldOf<ToyLoadCall::CountTag, decltype(ToyLoadCall::count)>(
        offsetof(ToyLoadCall, count)),
    intercept::FieldOf<ToyLoadCall::TextsTag, decltype(ToyLoadCall::texts)>(
        offsetof(ToyLoadCall, texts)),
    intercept::FieldOf<ToyLoadCall::LengthsTag, decltype(ToyLoadCall::lengths)>(
        offsetof(ToyLoadCall, lengths)),
    intercept::FieldOf<ToyLoadCall::ImagesTag, decltype(ToyLoadCall::images)>(
        offsetof(ToyLoadCall, images)),
    intercept::FieldOf<ToyLoadCall::ImageSizesTag, decltype(ToyLoadCall::image_sizes)>(
        offsetof(ToyLoadCall, image_sizes)),
    intercept::FieldOf<ToyLoadCall::OptionsTag, decltype(ToyLoadCall::options)>(
        offsetof(ToyLoadCall, options)),
    intercept::FieldOf<ToyLoadCall::ErrorTag, decltype(ToyLoadCall::error)>(
        offsetof(ToyLoadCall, error)),
    intercept::FieldOf<ToyLoadCall::ResultTag, decltype(ToyLoadCall::result)>(
        offsetof(ToyLoadCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyLaunchCall[] = {
    intercept::FieldOf<ToyLaunchCall::ModuleTag, decltype(ToyLaunchCall::module)>(
        offsetof(ToyLaunchCall, module)),
    intercept::FieldOf<ToyLaunchCall::GridTag, decltype(ToyLaunchCall::grid)>(
        offsetof(ToyLaunchCall, grid)),
    intercept::FieldOf<ToyLaunchCall::CountersTag, decltype(ToyLaunchCall::counters)>(
        offsetof(ToyLaunchCall, counters)),
    intercept::FieldOf<ToyLaunchCall::ResultTag, decltype(ToyLaunchCall::result)>(
        offsetof(ToyLaunchCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToySyncCall[] = {
    intercept::FieldOf<ToySyncCall::ContextTag, decltype(ToySyncCall::context)>(
        offsetof(ToySyncCall, context)),
};
constexpr intercept::FieldInfo kFieldsOfToyMapCall[] = {
    intercept::FieldOf<ToyMapCall::MemoryTag, decltype(ToyMapCall::memory)>(
        offsetof(ToyMapCall, memory)),
    intercept::FieldOf<ToyMapCall::ResultTag, decltype(ToyMapCall::result)>(
        offsetof(ToyMapCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyLookUpCall[] = {
    intercept::FieldOf<ToyLookUpCall::NameTag, decltype(ToyLookUpCall::name)>(
        offsetof(ToyLookUpCall, name)),
    intercept::FieldOf<ToyLookUpCall::ResultTag, decltype(ToyLookUpCall::result)>(
        offsetof(ToyLookUpCall, result)),
};
constexpr intercept::FieldInfo kFieldsOfToyVersionEXTCall[] = {
    intercept::FieldOf<ToyVersionEXTCall::ResultTag, decltype(ToyVersionEXTCall::result)>(
        offsetof(ToyVersionEXTCall, result)),
};

constexpr intercept::FnOps kOps[kFunctionCount] = {
    intercept::OpsOf<ToyListCardsCall>(kFieldsOfToyListCardsCall),
    intercept::OpsOf<ToyAskCall>(kFieldsOfToyAskCall),
    intercept::OpsOf<ToyCreateContextCall>(kFieldsOfToyCreateContextCall),
    intercept::OpsOf<ToyAllocCall>(kFieldsOfToyAllocCall),
    intercept::OpsOf<ToyFreeCall>(kFieldsOfToyFreeCall),
    intercept::OpsOf<ToyCopyRectCall>(kFieldsOfToyCopyRectCall),
    intercept::OpsOf<ToyLoadCall>(kFieldsOfToyLoadCall),
    intercept::OpsOf<ToyLaunchCall>(kFieldsOfToyLaunchCall),
    intercept::OpsOf<ToySyncCall>(kFieldsOfToySyncCall),
    intercept::OpsOf<ToyMapCall>(kFieldsOfToyMapCall),
    intercept::OpsOf<ToyLookUpCall>(kFieldsOfToyLookUpCall),
    intercept::OpsOf<ToyVersionEXTCall>(kFieldsOfToyVersionEXTCall),
};

}  // namespace

constinit const intercept::LibraryInfo kLibrary = {"toy", kFunctionCount, kFunctions, kOps, kHandleKinds, 5};

}  // namespace flexai::api::toy
