#include "flexai/schedule/fragment_memory.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

// Cards that no CPU is left for are lost, but other kinds of job than those counted may come first.
// Chosen among 0 to 1000: docs/reference/scheduling-results.md.
constexpr int64_t kOutrunPermille = 125;

class Fragments : public Term {
 public:
  explicit Fragments(const PolicyInput& input)
      : fragmentation_(input.typical, kOutrunPermille), memory_(input.snapshot, &fragmentation_) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    const int64_t weight = fragmentation_.weight();
    return weight == 0 ? 0 : memory_.Growth(node, request, cards) * 1000 / weight;
  }

 private:
  Fragmentation fragmentation_;
  FragmentMemory memory_;
};

}  // namespace

std::unique_ptr<Term> FragmentationTerm(const PolicyInput& input) {
  return std::make_unique<Fragments>(input);
}

}  // namespace flexai::schedule
