#include "flexai/schedule/fragment_memory.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Cards that no CPU is left for are lost, but other kinds of job than those counted may come first.
// Chosen among 0 to 1000: docs/reference/scheduling-results.md.
constexpr int64_t kOutrunPermille = 125;

// Of what a part leaves the pairing term knows more: here a part counts for what it does to the
// node's CPU and to jobs with several cards. Chosen among 50 to 1000, same place.
constexpr int64_t kPartPermille = 100;

class Fragments : public Term {
 public:
  explicit Fragments(const PolicyInput& input)
      : fragmentation_(input.typical, kOutrunPermille),
        memory_(input.snapshot, &fragmentation_),
        memory_counts_(PartsAskForMemory(input.typical)) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    const int64_t weight = fragmentation_.weight();
    if (weight == 0) return 0;
    const int64_t permille = IsPart(request) && !memory_counts_ ? kPartPermille : 1000;
    return memory_.Growth(node, request, cards) * permille / weight;
  }

 private:
  Fragmentation fragmentation_;
  FragmentMemory memory_;
  bool memory_counts_;
};

}  // namespace

std::unique_ptr<Term> FragmentationTerm(const PolicyInput& input) {
  return std::make_unique<Fragments>(input);
}

}  // namespace flexai::schedule
