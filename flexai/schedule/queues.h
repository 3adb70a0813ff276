// The tree of queues: what each may take, and what its jobs hold. Every queue's use counts for all
// queues above it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "flexai/base/status.h"
#include "flexai/schedule/request.h"

namespace flexai::schedule {

using QueueId = uint32_t;
/// The queue above all others; always there, without limit.
inline constexpr QueueId kRoot = 0;

/// What queues count. Units: milli-cards, milli-CPU, MiB.
enum Resource : uint8_t { kCards, kCpu, kMemory };
using Amounts = std::array<int64_t, 3>;
inline constexpr int64_t kUnlimited = int64_t{1} << 60;

struct Queue {
  QueueId parent = kRoot;
  Amounts quota = {0, kUnlimited, kUnlimited};  // its own: lent while idle, always got back
  Amounts limit = {kUnlimited, kUnlimited, kUnlimited};
  int64_t weight = 1;    // of its part of what is over all quotas; 0: gets nothing of it
  int32_t priority = 0;  // who comes first to what is over all quotas
};

inline Amounts DemandOf(const Request& request) {
  return {CardDemand(request), request.cpu_milli, request.memory_mib};
}

class Queues {
 public:
  Queues() : queues_(1), used_(1), firm_(1) {
    queues_[kRoot].quota = {kUnlimited, kUnlimited, kUnlimited};
  }
  /// Errors: kInvalidArgument (no such parent, negative amounts).
  Result<QueueId> Add(const Queue& queue);
  /// Changes all but the parent. Errors: as Add.
  Status Change(QueueId id, const Queue& queue);

  uint32_t size() const { return static_cast<uint32_t>(queues_.size()); }
  const Queue& operator[](QueueId id) const { return queues_[id]; }
  QueueId parent(QueueId id) const { return queues_[id].parent; }
  /// Held by jobs of this queue and those below.
  const Amounts& used(QueueId id) const { return used_[id]; }
  /// The part of used() that may not be taken back, because its jobs are not preemptible.
  const Amounts& firm(QueueId id) const { return firm_[id]; }

  /// Adds to the use of the queue and of all above (sign 1), or takes from it (sign -1).
  void Charge(QueueId id, const Amounts& amounts, bool firm, int sign);

  bool SameUse(const Queues& other) const { return used_ == other.used_ && firm_ == other.firm_; }

 private:
  // One entry per queue; a parent comes before its children.
  std::vector<Queue> queues_;
  std::vector<Amounts> used_, firm_;
};

}  // namespace flexai::schedule
