// The readers of openb lists: whatever the text, every row is taken or listed as bad, and what is
// taken can be replayed.
#include "flexai/schedule/sim/openb.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "flexai/schedule/sim/replay.h"

using namespace flexai::schedule;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t half = text.find("\n\n");
  sim::ModelNames models;
  const auto nodes = sim::ReadOpenbNodes(text.substr(0, half), &models);
  const auto pods = sim::ReadOpenbPods(
      half == std::string_view::npos ? std::string_view() : text.substr(half + 2), &models);
  if (!nodes.ok() || !pods.ok() || nodes->nodes.size() > 50) return 0;
  // Lists that have to come over and over to fill the cards say nothing new, slowly.
  int64_t asked = 0, cards = 0;
  for (const Request& pod : pods->pods) asked += CardDemand(pod);
  for (const Node& node : nodes->nodes) cards += int64_t{node.cards} * kWholeCard;
  if (asked * 20 < cards) return 0;
  const double marks[] = {1.0};
  const auto result = sim::Replay({nodes->nodes, pods->pods, "flexai", 1.0, 1, 2, true, marks});
  if (result.ok() && result->looks.at(0).allocated > 1) abort();
  if (!result.ok() && result.status().code() == flexai::Code::kInternal) abort();
  return 0;
}
