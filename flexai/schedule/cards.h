// Which cards of a node a request takes when the policy has no opinion of its own.
#pragma once

#include <vector>

#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// Of the cards that have what the request asks for, those with the least left; equal ones from the
/// lowest index. For whole cards these are the first that are idle. The node must fit the request.
CardSet TightestCards(const Snapshot& snapshot, NodeId node, const Request& request);

/// The cards that fit a request for a part of one; with `alike`, of those with equally much left
/// the first alone.
CardSet FittingCards(const Snapshot& snapshot, NodeId node, const Request& request, bool alike);

/// The sets of cards that a task might prefer where the node's board is known: for each group of
/// linked cards and each NUMA node, its own cards and then those nearest to them, the tightest
/// first. Besides TightestCards, which may be among them. Appends to `sets`, each set once.
void NearCards(const Snapshot& snapshot, NodeId node, const Request& request,
               std::vector<CardSet>* sets);

}  // namespace flexai::schedule
