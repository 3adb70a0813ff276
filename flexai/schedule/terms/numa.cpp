// A task runs best with its CPUs and its cards on one NUMA node. Each NUMA node is taken to have an
// equal part of the CPUs, and a task to want its CPUs where its cards are; tasks without cards run
// in what is left. Which CPUs a task really gets is up to the node.
#include <algorithm>
#include <bit>

#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Of a task's speed, where all its CPUs are far from its cards. Assumed, not measured.
constexpr int64_t kFarPermille = 100;

class Numa : public Term {
 public:
  explicit Numa(const PolicyInput& input) : snapshot_(*input.snapshot) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    const std::vector<CardSet>& numa = snapshot_.board(node).numa();
    if (numa.empty() || request.cards == 0) return 0;
    int64_t home = 0, far_cpu = 0;
    for (size_t i = 0; i < numa.size(); ++i) {
      const int64_t here = std::popcount(cards & numa[i]);
      if (here == 0) continue;
      home = std::max(home, here);
      const int64_t wanted = request.cpu_milli * here / request.cards;
      far_cpu += std::max<int64_t>(0, wanted - std::max<int64_t>(0, snapshot_.numa_cpu(node)[i]));
    }
    int64_t permille = kFarPermille * (request.cards - home) / request.cards;
    if (request.cpu_milli > 0) permille += kFarPermille * far_cpu / request.cpu_milli;
    return CardDemand(request) * permille;
  }

 private:
  const Snapshot& snapshot_;
};

}  // namespace

std::unique_ptr<Term> NumaTerm(const PolicyInput& input) { return std::make_unique<Numa>(input); }

}  // namespace flexai::schedule
