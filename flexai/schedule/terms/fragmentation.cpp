#include "flexai/schedule/fragment_memory.h"
#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

class Fragments : public Term {
 public:
  explicit Fragments(const PolicyInput& input)
      : memory_(input.snapshot, input.fragmentation), weight_(input.fragmentation->weight()) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    return weight_ == 0 ? 0 : memory_.Growth(node, request, cards) * 1000 / weight_;
  }

 private:
  FragmentMemory memory_;
  int64_t weight_;
};

}  // namespace

std::unique_ptr<Term> FragmentationTerm(const PolicyInput& input) {
  return std::make_unique<Fragments>(input);
}

}  // namespace flexai::schedule
