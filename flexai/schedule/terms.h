// The parts of a placement's price. Each is one file in terms/ and answers in one unit, so that
// they can be added: how much of a card would be lost to others.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "flexai/schedule/placer.h"

namespace flexai::schedule {

class Term {
 public:
  virtual ~Term() = default;
  /// What the cluster loses, besides what the request itself uses; less than 0 is a gain.
  /// Units: 1/1000 of a milli-card. The cards must fit.
  virtual int64_t Loss(NodeId node, const Request& request, CardSet cards) = 0;
};

/// How much more of the node's idle cards is of no use to the jobs that usually come.
std::unique_ptr<Term> FragmentationTerm(const PolicyInput& input);
/// Use of a card model that other jobs, which can use no other, will ask for.
std::unique_ptr<Term> ScarcityTerm(const PolicyInput& input);
/// What a task loses if its cards are not closely linked.
std::unique_ptr<Term> LinkTerm(const PolicyInput& input);
/// What a task loses if its cards, or its CPUs and its cards, are on several NUMA nodes.
std::unique_ptr<Term> NumaTerm(const PolicyInput& input);
/// What the job and those on its cards lose to each other. Nothing where no pair is declared.
std::unique_ptr<Term> InterferenceTerm(const PolicyInput& input);

}  // namespace flexai::schedule
