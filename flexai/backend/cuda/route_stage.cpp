#include "flexai/backend/cuda/route_stage.h"

#include <stdio.h>
#include <string.h>

#include "flexai/backend/cuda/sizes.h"

namespace flexai::backend::cuda {

using intercept::Call;

namespace {

// Between Before and After of one call, on one thread.
thread_local size_t t_card __attribute__((tls_model("initial-exec"))) = 0;

template <class C>
int DeviceIn(void* params) {
  const C& call = *static_cast<const C*>(params);
  if constexpr (requires { call.dev; }) {
    return static_cast<int>(call.dev);
  } else if constexpr (requires { call.device; }) {
    return static_cast<int>(call.device);
  } else if constexpr (requires { call.prop; }) {
    return LocationIn(call.prop);
  } else {
    return LocationIn(call.poolProps);
  }
}

std::string NameOf(int device) {
  api::CUuuid uuid = {};
  const auto ask = Real().cuDeviceGetUuid_v2 ? Real().cuDeviceGetUuid_v2 : Real().cuDeviceGetUuid;
  if (!ask || ask(&uuid, device) != api::CUDA_SUCCESS) return "";
  uint8_t b[16];
  memcpy(b, &uuid, sizeof(b));
  char text[48];
  snprintf(text, sizeof(text),
           "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
           b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
           b[15]);
  return text;
}

}  // namespace

RouteStage::RouteStage(const std::vector<std::unique_ptr<CardSlice>>& cards) : cards_(cards) {
  for (auto& card : by_device_) card.store(-1, std::memory_order_relaxed);
  const auto add = [this]<class... C>() { ((device_[C::kIndex] = &DeviceIn<C>), ...); };
  add.operator()<api::CuDevicePrimaryCtxRetainCall, api::CuDevicePrimaryCtxReleaseCall,
                 api::CuDevicePrimaryCtxRelease_v2Call, api::CuDevicePrimaryCtxResetCall,
                 api::CuDevicePrimaryCtxReset_v2Call, api::CuCtxCreateCall, api::CuCtxCreate_v2Call,
                 api::CuCtxCreate_v3Call, api::CuCtxCreate_v4Call, api::CuGreenCtxCreateCall,
                 api::CuDeviceTotalMemCall, api::CuDeviceTotalMem_v2Call,
                 api::CuDeviceGraphMemTrimCall, api::CuMemCreateCall, api::CuMemPoolCreateCall>();
}

bool RouteStage::Listens(const intercept::FnInfo& info) {
  return cards_.front()->stage.Listens(info);
}

[[gnu::hot]] bool RouteStage::Before(Call& call) {
  t_card = CardOf(call);
  return cards_[t_card]->stage.Before(call);
}

[[gnu::hot]] void RouteStage::After(Call& call) {
  const size_t card = t_card;
  cards_[card]->stage.After(call);
  // An event is known where it was recorded; elsewhere a wait for it says nothing.
  if (!cards_[card]->rules.WaitsForEvent(call.info())) return;
  for (const auto& other : cards_) {
    if (other != cards_[card]) other->stage.After(call);
  }
}

// What is named first, then who made the object, then who has the calling thread.
size_t RouteStage::CardOf(Call& call) {
  if (const DeviceFn device = device_[call.info().index]) {
    return CardOfDevice(device(call.params()));
  }
  if (call.info().event == intercept::Event::kLaunch) return CardOfDevice(CurrentDevice());
  if (const int owner = OwnerOf(call); owner >= 0) return static_cast<size_t>(owner);
  if (const int device = cards_.front()->rules.DeviceOfGraph(call); device >= 0) {
    return CardOfDevice(device);
  }
  if (const uint64_t pool = cards_.front()->rules.PoolNamed(call)) return CardOfPool(pool);
  if (const uint64_t context = cards_.front()->rules.ContextOf(call)) {
    return CardOfContext(context);
  }
  return CardOfDevice(CurrentDevice());
}

int RouteStage::OwnerOf(Call& call) const {
  for (size_t card = 0; card < cards_.size(); ++card) {
    if (cards_[card]->rules.Owns(call)) return static_cast<int>(card);
  }
  return -1;
}

size_t RouteStage::CardOfDevice(int device) {
  if (device < 0 || static_cast<size_t>(device) >= by_device_.size()) return 0;
  std::atomic<int8_t>& known = by_device_[static_cast<size_t>(device)];
  const int8_t card = known.load(std::memory_order_relaxed);
  if (card >= 0) return static_cast<size_t>(card);
  const std::string name = NameOf(device);
  for (size_t i = 0; i < cards_.size(); ++i) {
    const slice::Region* region = cards_[i]->tenant.region();
    if (!region || name != region->header.card_uuid) continue;
    known.store(static_cast<int8_t>(i), std::memory_order_relaxed);
    return i;
  }
  return 0;
}

// One that nobody made here is a card's own.
size_t RouteStage::CardOfPool(uint64_t pool) {
  const api::Real& real = Real();
  int devices = 0;
  if (!real.cuDeviceGetCount || !real.cuDeviceGetDefaultMemPool ||
      real.cuDeviceGetCount(&devices) != api::CUDA_SUCCESS) {
    return CardOfDevice(CurrentDevice());
  }
  for (int device = 0; device < devices; ++device) {
    api::CUmemoryPool own = nullptr;
    const bool told = real.cuDeviceGetDefaultMemPool(&own, device) == api::CUDA_SUCCESS;
    if (told && intercept::ToWord(own) == pool) return CardOfDevice(device);
  }
  return CardOfDevice(CurrentDevice());
}

size_t RouteStage::CardOfContext(uint64_t context) {
  const int device = DeviceOfContext(context);
  return CardOfDevice(device >= 0 ? device : CurrentDevice());
}

}  // namespace flexai::backend::cuda
