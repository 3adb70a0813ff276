#include "flexai/schedule/fragmentation.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

namespace flexai::schedule {

std::vector<TypicalJob> TypicalJobs(std::span<const Request> seen, int cover_percent) {
  std::map<std::tuple<int64_t, ModelSet, uint32_t, Milli>, int64_t> counted;
  for (const Request& request : seen) {
    ++counted[{request.cpu_milli, request.models, request.cards, request.share}];
  }
  std::vector<TypicalJob> kinds;
  for (const auto& [kind, count] : counted) {
    const auto& [cpu, models, cards, share] = kind;
    kinds.push_back({cpu, models, cards, share, count});
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const TypicalJob& a, const TypicalJob& b) { return a.weight > b.weight; });
  int64_t covered = 0;
  size_t kept = 0;
  while (kept < kinds.size() && covered * 100 < static_cast<int64_t>(seen.size()) * cover_percent) {
    covered += kinds[kept++].weight;
  }
  kinds.resize(kept);
  return kinds;
}

Fragmentation::Fragmentation(std::span<const TypicalJob> typical, int64_t outrun_permille)
    : outrun_permille_(outrun_permille) {
  for (const TypicalJob& job : typical) {
    weight_ += job.weight;
    for (uint32_t model = 0; model < kMostModels; ++model) {
      if (job.cards == 0 || (job.models >> model & 1) == 0) {
        outside_[model] += job.weight;
      } else {
        kinds_[model].push_back({job.cpu_milli, job.weight, job.cards, job.share});
      }
    }
  }
  for (std::vector<Kind>& kinds : kinds_) {
    std::stable_sort(kinds.begin(), kinds.end(),
                     [](const Kind& a, const Kind& b) { return a.share > b.share; });
  }
}

int64_t Fragmentation::Of(int64_t cpu_free, uint32_t model, std::span<const Milli> shares) const {
  std::array<Milli, kMostCards> rising;
  size_t cards = 0;
  int64_t idle = 0;
  for (const Milli share : shares) {
    if (share == 0) continue;
    size_t at = cards++;
    for (; at > 0 && rising[at - 1] > share; --at) rising[at] = rising[at - 1];
    rising[at] = share;
    idle += share;
  }
  if (idle == 0) return 0;
  int64_t lost = outside_[model] * idle;
  // Kinds come with falling shares: cards leave the set of those that have too little.
  int64_t too_little = idle;
  size_t enough = 0;  // cards, from the largest, that have what the kind asks for
  for (const Kind& kind : kinds_[model]) {
    while (enough < cards && rising[cards - 1 - enough] >= kind.share) {
      too_little -= rising[cards - 1 - enough];
      ++enough;
    }
    const bool fits = cpu_free >= kind.cpu_milli && enough >= kind.cards;
    if (!fits) {
      lost += kind.weight * idle;
      continue;
    }
    lost += kind.weight * too_little;
    if (outrun_permille_ == 0 || kind.cpu_milli == 0) continue;
    const int64_t until_no_cpu = cpu_free * kind.share * kind.cards / kind.cpu_milli;
    const int64_t outrun = std::max<int64_t>(0, idle - too_little - until_no_cpu);
    lost += kind.weight * outrun * outrun_permille_ / 1000;
  }
  return lost;
}

int64_t Fragmentation::After(const Snapshot& snapshot, NodeId node, const Request& request,
                             CardSet cards) const {
  std::array<Milli, kMostCards> left;
  const std::span<const Milli> now = snapshot.shares(node);
  for (size_t i = 0; i < now.size(); ++i) {
    left[i] = now[i] - ((cards >> i & 1) != 0 ? request.share : 0);
  }
  return Of(snapshot.cpu_free(node) - request.cpu_milli, snapshot.model(node),
            std::span<const Milli>(left.data(), now.size()));
}

}  // namespace flexai::schedule
