// Who shares a card with a load that disturbs it runs slower than its share says, and so does the
// one that was there. Both losses are those of the new pair: what residents do to each other is not
// the newcomer's.
#include <bit>

#include "flexai/schedule/terms.h"

namespace flexai::schedule {
namespace {

class Disturbance : public Term {
 public:
  explicit Disturbance(const PolicyInput& input)
      : snapshot_(*input.snapshot), pairs_(*input.interference) {}

  int64_t Loss(NodeId node, const Request& request, CardSet cards) override {
    if (request.load == 0) return 0;
    int64_t loss = 0;
    for (CardSet left = cards; left != 0; left &= left - 1) {
      const auto card = static_cast<uint32_t>(std::countr_zero(left));
      for (const Resident& other : snapshot_.residents(node, card)) {
        if (other.share == 0) continue;  // suspended: it disturbs nobody
        loss += int64_t{request.share} * pairs_.Lost(request.load, other.load);
        loss += other.share * pairs_.Lost(other.load, request.load);
      }
    }
    return loss;
  }

 private:
  const Snapshot& snapshot_;
  const Interference& pairs_;
};

}  // namespace

std::unique_ptr<Term> InterferenceTerm(const PolicyInput& input) {
  if (input.interference == nullptr || !input.interference->any()) return nullptr;
  return std::make_unique<Disturbance>(input);
}

}  // namespace flexai::schedule
