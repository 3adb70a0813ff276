// What this process holds of one card of its slice.
#pragma once

#include "flexai/backend/cuda/slice_rules.h"
#include "flexai/backend/nvidia/channel_freeze.h"

namespace flexai::backend::cuda {

/// One for each card of the slice, never freed: threads may still be in a call when the process
/// ends.
struct CardSlice {
  slice::GateLever gate;
  nvidia::ChannelFreeze freeze{&gate};
  slice::QueueWatch queues;
  slice::Tenant tenant;
  SliceRules rules{&tenant, &queues};
  slice::ShortSliceStage<SliceRules> stage{&tenant, &rules, &gate, &queues};
  slice::Asker asker{&queues, [](void* of) { static_cast<SliceRules*>(of)->AskUnwaited(); },
                     &rules};

  /// `part`: which of the slice's cards, from 0.
  explicit CardSlice(int part) : tenant(&freeze, &queues, part) { tenant.AskWith(&asker); }
};

}  // namespace flexai::backend::cuda
