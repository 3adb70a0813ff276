#include "flexai/schedule/fair.h"

#include <algorithm>

namespace flexai::schedule {
namespace {

using Wide = __int128;

// 2^-(2^-i) for i = 1 .. 16. Units: 1/2^32.
constexpr uint64_t kRoots[16] = {
    3037000500, 3611622603, 3938502376, 4112874773, 4202935003, 4248701965, 4271771996, 4283353945,
    4289156690, 4292061010, 4293513907, 4294240540, 4294603903, 4294785595, 4294876445, 4294921870};
constexpr int64_t kPart = 1'000'000;

int64_t Scale(int64_t value, uint64_t factor) {
  return static_cast<int64_t>(static_cast<Wide>(value) * factor >> 32);
}

class Divider {
 public:
  Divider(const Queues& queues, const std::vector<int64_t>& wanted, const UsageHistory& history)
      : queues_(queues), history_(history), due_(queues.size()), wants_(wanted) {
    wants_.resize(queues.size());
    for (QueueId id = queues.size(); id-- > 0;) {
      wants_[id] = std::min(wants_[id], queues[id].limit[kCards]);
      if (id != kRoot) wants_[queues.parent(id)] += wants_[id];
    }
    children_.resize(queues.size());
    for (QueueId id = 1; id < queues.size(); ++id) children_[queues.parent(id)].push_back(id);
  }

  std::vector<int64_t> Run(int64_t cards_milli) {
    due_[kRoot] = cards_milli;
    for (QueueId id = 0; id < queues_.size(); ++id) Divide(children_[id], due_[id]);
    return std::move(due_);
  }

 private:
  void Divide(const std::vector<QueueId>& children, int64_t left) {
    for (const QueueId id : children) {
      due_[id] = std::min({queues_[id].quota[kCards], wants_[id], left});
      left -= due_[id];
    }
    std::vector<QueueId> order = children;
    std::stable_sort(order.begin(), order.end(), [this](QueueId a, QueueId b) {
      return queues_[a].priority > queues_[b].priority;
    });
    for (size_t first = 0; first < order.size() && left > 0;) {
      size_t end = first;
      while (end < order.size() && queues_[order[end]].priority == queues_[order[first]].priority) {
        ++end;
      }
      left = ByWeight({order.begin() + static_cast<ptrdiff_t>(first),
                       order.begin() + static_cast<ptrdiff_t>(end)},
                      left);
      first = end;
    }
  }

  // The queue's pull on what is left: its part of the weights, less what it had lately.
  int64_t Pull(QueueId id, int64_t weights) const {
    const int64_t part = queues_[id].weight * kPart / weights;
    const int64_t fading = history_.k_permille() * (part - history_.Part(id)) / 1000;
    return std::max<int64_t>(0, part + fading);
  }

  int64_t ByWeight(std::vector<QueueId> queues, int64_t left) {
    const auto unsatisfied = [this](QueueId id) {
      return due_[id] < wants_[id] && queues_[id].weight > 0;
    };
    bool capped = true;
    while (capped && left > 0) {
      std::erase_if(queues, [&](QueueId id) { return !unsatisfied(id); });
      capped = false;
      int64_t weights = 0, pulls = 0;
      for (const QueueId id : queues) weights += queues_[id].weight;
      for (const QueueId id : queues) pulls += Pull(id, weights);
      if (pulls == 0) break;
      const int64_t round = left;
      for (const QueueId id : queues) {
        const auto exact =
            static_cast<int64_t>(static_cast<Wide>(round) * Pull(id, weights) / pulls);
        const int64_t want = wants_[id] - due_[id];
        if (want <= exact) capped = true;
        const int64_t given = want <= exact ? want : exact / kWholeCard * kWholeCard;
        due_[id] += given;
        left -= given;
      }
    }
    std::erase_if(queues, [&](QueueId id) { return !unsatisfied(id); });
    std::stable_sort(queues.begin(), queues.end(), [this](QueueId a, QueueId b) {
      return queues_[a].weight > queues_[b].weight;
    });
    for (bool gave = true; gave && left > 0;) {
      gave = false;
      for (const QueueId id : queues) {
        const int64_t given = std::min<int64_t>({kWholeCard, wants_[id] - due_[id], left});
        due_[id] += given;
        left -= given;
        gave = gave || given > 0;
      }
    }
    return left;
  }

  const Queues& queues_;
  const UsageHistory& history_;
  std::vector<int64_t> due_, wants_;
  std::vector<std::vector<QueueId>> children_;
};

}  // namespace

uint64_t Decay(int64_t elapsed_s, int64_t half_life_s) {
  if (half_life_s <= 0 || elapsed_s <= 0) return uint64_t{1} << 32;
  const int64_t whole = elapsed_s / half_life_s;
  if (whole >= 32) return 0;
  const auto rest =
      static_cast<uint64_t>(static_cast<Wide>(elapsed_s % half_life_s) * 65536 / half_life_s);
  uint64_t factor = uint64_t{1} << 32;
  for (int i = 0; i < 16; ++i) {
    if ((rest >> (15 - i) & 1) != 0)
      factor = static_cast<uint64_t>(static_cast<Wide>(factor) * kRoots[i] >> 32);
  }
  return factor >> whole;
}

void UsageHistory::Advance(const Queues& queues, int64_t cards_milli, int64_t now_s) {
  had_.resize(queues.size());
  const int64_t elapsed = begun_ ? std::max<int64_t>(0, now_s - last_s_) : 0;
  const uint64_t decay = Decay(elapsed, half_life_s_);
  for (QueueId id = 0; id < queues.size(); ++id) {
    had_[id] = Scale(had_[id], decay) + queues.used(id)[kCards] * elapsed;
  }
  all_ = Scale(all_, decay) + cards_milli * elapsed;
  last_s_ = begun_ ? std::max(last_s_, now_s) : now_s;
  begun_ = true;
}

int64_t UsageHistory::Part(QueueId id) const {
  if (all_ == 0 || id >= had_.size()) return 0;
  return static_cast<int64_t>(static_cast<Wide>(had_[id]) * kPart / all_);
}

std::vector<int64_t> FairShares(const Queues& queues, const std::vector<int64_t>& wanted,
                                int64_t cards_milli, const UsageHistory& history) {
  return Divider(queues, wanted, history).Run(cards_milli);
}

}  // namespace flexai::schedule
