// The made-up library "toy" as a driver of the fake card: lib/libfake_toy.so. The shortest example
// of what a vendor's fake has to write: one body for each row.
#include <string.h>

#include <map>
#include <mutex>
#include <set>

#include "flexai/fake/card.h"
#include "flexai/fake/entry.h"
#include "toy/calls.h"
#include "toy/resolver.h"

namespace flexai::api::toy {
extern void* const kFakeFunctions[kFunctionCount];
}

namespace flexai::fake {

namespace toy = ::flexai::api::toy;

const intercept::LibraryInfo& Library() { return toy::kLibrary; }

namespace {

struct CardBody {};
CardBody g_card;
toy::toy_card TheCard() { return reinterpret_cast<toy::toy_card>(&g_card); }

// A context is a stream; a module belongs to one.
struct Context {
  Stream stream;
};
struct Module {
  Context* context;
};

struct State {
  std::mutex mu;  // guards what follows
  std::set<Context*> contexts;
  std::map<Module*, Context*> modules;
  std::map<toy::toy_memory, Context*> memory;
};
State& TheState() {
  static State* const state = new State;
  return *state;
}

Context* Find(toy::toy_context handle) {
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  auto* context = reinterpret_cast<Context*>(handle);
  return state.contexts.count(context) ? context : nullptr;
}

template <class C>
void Fail(C& call, int64_t code) {
  intercept::EndWith(toy::kLibrary.ops[C::kIndex].fields, &call, code);
}

}  // namespace

template <>
void Run(toy::ToyListCardsCall& call) {
  if (!call.cards && !call.found) return Fail(call, toy::TOY_ERROR_VALUE);
  if (call.cards && call.capacity > 0) call.cards[0] = TheCard();
  if (call.found) *call.found = 1;
}

template <>
void Run(toy::ToyAskCall& call) {
  if (call.card != TheCard()) return Fail(call, toy::TOY_ERROR_NO_CARD);
  constexpr char kName[] = "flexai fake card";
  const toy::toy_card none = nullptr;
  const void* answer = kName;
  size_t bytes = sizeof kName;
  if (int64_t{call.question} == toy::TOY_CARD_PARENT) {
    answer = &none;
    bytes = sizeof none;
  } else if (int64_t{call.question} != toy::TOY_CARD_NAME) {
    return Fail(call, toy::TOY_ERROR_VALUE);
  }
  if (call.answer && call.size < bytes) return Fail(call, toy::TOY_ERROR_VALUE);
  if (call.answer) memcpy(call.answer, answer, bytes);
  if (call.needed) *call.needed = bytes;
}

template <>
void Run(toy::ToyCreateContextCall& call) {
  for (const auto* at = call.properties; at && at[0] != 0; at += 2) {
    if (at[0] != toy::TOY_PROPERTY_CARD || reinterpret_cast<toy::toy_card>(at[1]) != TheCard()) {
      return Fail(call, toy::TOY_ERROR_VALUE);
    }
  }
  auto* context = new Context;
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  state.contexts.insert(context);
  call.result = reinterpret_cast<toy::toy_context>(context);
  if (call.error) *call.error = 0;
}

template <>
void Run(toy::ToyAllocCall& call) {
  Context* context = Find(call.context);
  if (!context || !call.memory || call.size == 0) return Fail(call, toy::TOY_ERROR_VALUE);
  void* at = Card::Instance().arena().Allocate(call.size);
  if (!at) return Fail(call, toy::TOY_ERROR_MEMORY);
  *call.memory = reinterpret_cast<toy::toy_memory>(at);
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  state.memory[*call.memory] = context;
}

template <>
void Run(toy::ToyFreeCall& call) {
  Context* context = nullptr;
  State& state = TheState();
  {
    std::lock_guard<std::mutex> lock(state.mu);
    const auto found = state.memory.find(call.memory);
    if (found == state.memory.end()) return Fail(call, toy::TOY_ERROR_VALUE);
    context = found->second;
    state.memory.erase(found);
  }
  Card::Instance().Drain(context->stream);
  Card::Instance().arena().Free(reinterpret_cast<void*>(call.memory));
}

template <>
void Run(toy::ToyCopyRectCall& call) {
  State& state = TheState();
  Context* context = nullptr;
  {
    std::lock_guard<std::mutex> lock(state.mu);
    const auto found = state.memory.find(call.to);
    if (found != state.memory.end()) context = found->second;
  }
  if (!context || !call.from || !call.region || call.region[1] == 0) {
    return Fail(call, toy::TOY_ERROR_VALUE);
  }
  const size_t row = call.region[0], rows = call.region[1];
  const size_t pitch = call.pitch > row ? call.pitch : row;
  auto* to = reinterpret_cast<char*>(call.to);
  if (row != 0 && rows > Card::Instance().arena().SizeOf(to) / row) {
    return Fail(call, toy::TOY_ERROR_VALUE);
  }
  // One way: what the caller shows is taken before the call returns.
  std::string bytes;
  for (size_t y = 0; y < rows; ++y) {
    bytes.append(static_cast<const char*>(call.from) + y * pitch, row);
  }
  auto task = std::make_shared<Task>();
  task->work = [to, bytes]() -> int64_t {
    memcpy(to, bytes.data(), bytes.size());
    return 0;
  };
  Card::Instance().Submit(context->stream, task, {});
}

template <>
void Run(toy::ToyLoadCall& call) {
  Context* context = Find(call.context);
  if (!context || call.count == 0 || !call.texts) return Fail(call, toy::TOY_ERROR_VALUE);
  auto* module = new Module{context};
  State& state = TheState();
  std::lock_guard<std::mutex> lock(state.mu);
  state.modules[module] = context;
  call.result = reinterpret_cast<toy::toy_module>(module);
  if (call.error) *call.error = 0;
}

// Adds one to each counter, on the card.
template <>
void Run(toy::ToyLaunchCall& call) {
  auto* module = reinterpret_cast<Module*>(call.module);
  State& state = TheState();
  {
    std::lock_guard<std::mutex> lock(state.mu);
    if (!state.modules.count(module)) return Fail(call, toy::TOY_ERROR_VALUE);
  }
  if (!call.grid) return Fail(call, toy::TOY_ERROR_VALUE);
  auto task = std::make_shared<Task>();
  task->compute = true;
  const size_t* count = call.grid->count;
  task->cost = Card::Instance().CostOf(count[0] * count[1] * count[2]);
  task->work = [counters = call.counters, many = call.grid->flags]() -> int64_t {
    for (toy::toy_u32 i = 0; counters && i < many; ++i) ++counters[i];
    return 0;
  };
  Card::Instance().Submit(module->context->stream, task, {});
  if (call.counters) Card::Instance().Wait(task);
}

template <>
void Run(toy::ToySyncCall& call) {
  if (Context* context = Find(call.context)) Card::Instance().Drain(context->stream);
}

template <>
void Run(toy::ToyLookUpCall& call) {
  const int index = call.name ? toy::FindByName(call.kName, call.name) : -1;
  call.result = index < 0 ? nullptr : toy::kFakeFunctions[index];
}

template <>
void Run(toy::ToyVersionEXTCall& call) {
  call.result = 20;
}

}  // namespace flexai::fake
