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

/// What is gained on one node.
struct Gain {
  NodeId node = 0;
  int64_t gain = 0;  // as Term::Loss, but more than 0 is good
};

/// A part of the price that is not the same for all jobs that ask for the same: what draws a job to
/// some nodes by its bonds.
class Pull {
 public:
  virtual ~Pull() = default;
  /// Appends the nodes on which something is gained; a node may come twice, then both count.
  virtual void Gains(const Request& request, const Bonds& bonds, std::vector<Gain>* gains) = 0;
};

/// How much more of the node's idle cards is of no use to the jobs that usually come.
std::unique_ptr<Term> FragmentationTerm(const PolicyInput& input);
/// What is left of the card beside a part, by what the usual jobs can make of it.
std::unique_ptr<Term> PairingTerm(const PolicyInput& input);
/// Use of a card model that other jobs, which can use no other, will ask for.
std::unique_ptr<Term> ScarcityTerm(const PolicyInput& input);
/// What a task loses if its cards are not closely linked.
std::unique_ptr<Term> LinkTerm(const PolicyInput& input);
/// What a task loses if its cards, or its CPUs and its cards, are on several NUMA nodes.
std::unique_ptr<Term> NumaTerm(const PolicyInput& input);
/// What the job and those on its cards lose to each other. Nothing where no pair is declared.
std::unique_ptr<Term> InterferenceTerm(const PolicyInput& input);

/// Few racks and blocks for the tasks of a gang.
std::unique_ptr<Pull> TopologyPull(const PolicyInput& input);
/// Of a job's CPU: nodes near its cards, where these are on another. Nothing where no links are
/// told.
std::unique_ptr<Pull> RemotePull(const PolicyInput& input);
/// The node where the job was.
std::unique_ptr<Pull> StickinessPull(const PolicyInput& input);

}  // namespace flexai::schedule
