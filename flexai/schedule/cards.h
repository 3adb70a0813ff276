// Which cards of a node a request takes when the policy has no opinion of its own.
#pragma once

#include "flexai/schedule/request.h"
#include "flexai/schedule/snapshot.h"

namespace flexai::schedule {

/// Of the cards that have what the request asks for, those with the least left; equal ones from the
/// lowest index. For whole cards these are the first that are idle. The node must fit the request.
CardSet TightestCards(const Snapshot& snapshot, NodeId node, const Request& request);

}  // namespace flexai::schedule
