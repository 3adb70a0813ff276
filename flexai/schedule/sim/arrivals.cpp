#include "flexai/schedule/sim/arrivals.h"

#include <utility>

#include "flexai/schedule/dice.h"

namespace flexai::schedule::sim {

std::vector<uint32_t> DrawArrivals(std::span<const Request> pods, int64_t demand, uint64_t seed) {
  Dice dice(seed);
  std::vector<uint32_t> order(pods.size());
  int64_t asked = 0;
  for (uint32_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    asked += CardDemand(pods[i]);
  }
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[dice.Below(static_cast<uint32_t>(i))]);
  }
  while (asked > demand && !order.empty()) {
    const auto leaves = order.begin() + dice.Below(static_cast<uint32_t>(order.size()));
    asked -= CardDemand(pods[*leaves]);
    order.erase(leaves);
  }
  const bool can_grow = asked > 0 && !order.empty();
  while (can_grow) {
    const uint32_t drawn = dice.Below(static_cast<uint32_t>(pods.size()));
    if (asked + CardDemand(pods[drawn]) > demand) break;
    asked += CardDemand(pods[drawn]);
    order.push_back(drawn);
  }
  return order;
}

}  // namespace flexai::schedule::sim
