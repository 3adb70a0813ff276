#include "flexai/schedule/fragmentation.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

namespace flexai::schedule {

std::vector<TypicalJob> TypicalJobs(std::span<const Request> seen, int cover_percent) {
  std::map<std::tuple<int64_t, ModelSet, uint32_t, Milli, int64_t>, int64_t> counted;
  for (const Request& request : seen) {
    ++counted[{request.cpu_milli, request.models, request.cards, request.share,
               request.card_memory_mib}];
  }
  std::vector<TypicalJob> kinds;
  for (const auto& [kind, count] : counted) {
    const auto& [cpu, models, cards, share, card_memory] = kind;
    kinds.push_back({cpu, models, cards, share, count, card_memory});
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

bool PartsAskForMemory(std::span<const TypicalJob> typical) {
  return std::any_of(typical.begin(), typical.end(), [](const TypicalJob& job) {
    return job.cards == 1 && job.share < kWholeCard && job.card_memory_mib > 0;
  });
}

Fragmentation::Fragmentation(std::span<const TypicalJob> typical, int64_t outrun_permille)
    : outrun_permille_(outrun_permille) {
  for (const TypicalJob& job : typical) {
    weight_ += job.weight;
    for (uint32_t model = 0; model < kMostModels; ++model) {
      if (job.cards == 0 || (job.models >> model & 1) == 0) {
        outside_[model] += job.weight;
      } else {
        std::vector<Kind>& kinds = job.card_memory_mib > 0 ? memory_kinds_[model] : kinds_[model];
        kinds.push_back({job.cpu_milli, job.weight, job.cards, job.share, job.card_memory_mib});
        any_memory_ = any_memory_ || job.card_memory_mib > 0;
      }
    }
  }
  for (std::vector<Kind>& kinds : kinds_) {
    std::stable_sort(kinds.begin(), kinds.end(),
                     [](const Kind& a, const Kind& b) { return a.share > b.share; });
  }
}

// Of one kind: `enough` cards have what it asks for, the others have `too_little` together.
int64_t Fragmentation::Lost(const Kind& kind, int64_t cpu_free, int64_t idle, int64_t too_little,
                            size_t enough) const {
  if (cpu_free < kind.cpu_milli || enough < kind.cards) return kind.weight * idle;
  int64_t lost = kind.weight * too_little;
  if (outrun_permille_ == 0 || kind.cpu_milli == 0) return lost;
  const int64_t until_no_cpu = cpu_free * kind.share * kind.cards / kind.cpu_milli;
  const int64_t outrun = std::max<int64_t>(0, idle - too_little - until_no_cpu);
  return lost + kind.weight * outrun * outrun_permille_ / 1000;
}

int64_t Fragmentation::LostByMemory(const Kind& kind, int64_t cpu_free, int64_t idle,
                                    std::span<const Milli> shares,
                                    std::span<const int64_t> card_memory) const {
  size_t enough = 0;
  int64_t too_little = idle, outrun = 0;
  for (size_t i = 0; i < card_memory.size(); ++i) {
    if (shares[i] == 0 || shares[i] < kind.share || card_memory[i] < kind.card_memory_mib) continue;
    ++enough;
    too_little -= shares[i];
    const int64_t until_no_memory = card_memory[i] / kind.card_memory_mib * kind.share;
    outrun += std::max<int64_t>(0, shares[i] - until_no_memory);
  }
  const int64_t lost = Lost(kind, cpu_free, idle, too_little, enough);
  if (cpu_free < kind.cpu_milli || enough < kind.cards) return lost;
  return lost + kind.weight * outrun * outrun_permille_ / 1000;
}

int64_t Fragmentation::Of(int64_t cpu_free, uint32_t model, std::span<const Milli> shares,
                          std::span<const int64_t> card_memory) const {
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
    lost += Lost(kind, cpu_free, idle, too_little, enough);
  }
  for (const Kind& kind : memory_kinds_[model]) {
    lost += LostByMemory(kind, cpu_free, idle, shares, card_memory);
  }
  return lost;
}

int64_t Fragmentation::After(const Snapshot& snapshot, NodeId node, const Request& request,
                             CardSet cards) const {
  std::array<Milli, kMostCards> left;
  std::array<int64_t, kMostCards> memory_left;
  const std::span<const Milli> now = snapshot.shares(node);
  const std::span<const int64_t> memory_now = snapshot.card_memory(node);
  for (size_t i = 0; i < now.size(); ++i) {
    left[i] = now[i] - ((cards >> i & 1) != 0 ? request.share : 0);
  }
  for (size_t i = 0; any_memory_ && i < now.size(); ++i) {
    memory_left[i] = memory_now[i] - ((cards >> i & 1) != 0 ? request.card_memory_mib : 0);
  }
  return Of(snapshot.cpu_free(node) - request.cpu_milli, snapshot.model(node),
            {left.data(), now.size()}, {memory_left.data(), any_memory_ ? now.size() : 0});
}

}  // namespace flexai::schedule
