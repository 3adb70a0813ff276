// What fits where: the sum of shares and of memory limits on a card never passes the card.
#include "flexai/operate/daemon.h"

namespace flexai::operate {

using model::FormatBytes;
using model::FormatPercent;

model::Permille Daemon::GrantedShare(size_t card, const SliceRecord* without) const {
  model::Permille sum = 0;
  for (const auto& [id, slice] : slices_) {
    if (slice->card == card && slice.get() != without) sum += slice->spec.share;
  }
  return sum;
}

model::Bytes Daemon::GrantedMemory(size_t card, const SliceRecord* without) const {
  model::Bytes sum = 0;
  for (const auto& [id, slice] : slices_) {
    if (slice->card == card && slice.get() != without) sum += slice->spec.memory;
  }
  return sum;
}

Status Daemon::RoomOn(size_t card, const model::SliceSpec& spec, const SliceRecord* without) const {
  const model::Card& c = cards_[card];
  if (spec.memory > c.memory_bytes) {
    return Status(Code::kOutOfRange,
                  "memory " + FormatBytes(spec.memory) + " is more than card " + c.id + " has, " +
                      FormatBytes(c.memory_bytes),
                  "ask for less, or for a larger card: flexai cards lists them");
  }
  // What a slice has already is for its owner to change.
  if (const model::Bytes need = context_bytes_[card]; !without && spec.memory < need) {
    return Status(Code::kOutOfRange,
                  "memory " + FormatBytes(spec.memory) +
                      " is less than what a program holds on card " + c.id +
                      " by using it at all, " + FormatBytes(need),
                  "ask for more than " + std::to_string((need + model::kMiB - 1) / model::kMiB) +
                      "Mi: what the program allocates comes on top");
  }
  const model::Permille free_share = model::kWholeCard - GrantedShare(card, without);
  const model::Bytes granted = GrantedMemory(card, without);
  const model::Bytes free_memory = granted < c.memory_bytes ? c.memory_bytes - granted : 0;
  if (spec.share <= free_share && spec.memory <= free_memory) return Status();
  const std::string missing = spec.share > free_share
                                  ? FormatPercent(spec.share) + " of its time, of which " +
                                        FormatPercent(std::max(free_share, 0)) + " is free"
                                  : FormatBytes(spec.memory) + " of its memory, of which " +
                                        FormatBytes(free_memory) + " is free";
  return Status(Code::kResourceExhausted, "card " + c.id + " has no room: asked for " + missing,
                "ask for less, wait, or see who holds it: flexai status");
}

// Why a card that was named is not among those that are shared; OK where nothing is known of it.
Status Daemon::WhyNot(const std::string& card) const {
  for (const model::Unshared& one : options_.unshared) {
    if (!one.uuid.empty() && one.uuid == card) {
      return Status(Code::kFailedPrecondition, one.why, one.cure);
    }
  }
  if (!cards_.empty()) return Status();
  const std::string none = "this host has no card that flexai can share";
  if (options_.unshared.empty()) {
    return Status(Code::kNotFound, none,
                  "install the card's driver; flexai doctor says what is missing");
  }
  const model::Unshared& first = options_.unshared.front();
  const size_t more = options_.unshared.size() - 1;
  return Status(Code::kFailedPrecondition,
                none + ": " + first.why +
                    (more > 0 ? " (flexai cards tells of " + std::to_string(more) + " more)" : ""),
                first.cure);
}

Result<size_t> Daemon::PickCard(const model::SliceSpec& spec) const {
  FLEXAI_RETURN_IF_ERROR(WhyNot(spec.card));
  std::string known;
  Status first;
  size_t best = cards_.size();
  for (size_t card = 0; card < cards_.size(); ++card) {
    known += (card ? ", " : "") + cards_[card].id;
    const bool named = spec.card == cards_[card].id || spec.card == cards_[card].uuid;
    if (spec.card != "auto" && !named) continue;
    model::SliceSpec here = spec;
    if (here.memory == 0)
      here.memory = cards_[card].memory_bytes / 1000 * static_cast<uint64_t>(spec.share);
    const Status room = RoomOn(card, here, nullptr);
    // The fullest card that still has room, so that large slices find an empty one.
    if (room.ok() &&
        (best == cards_.size() || GrantedShare(card, nullptr) > GrantedShare(best, nullptr))) {
      best = card;
    }
    // Of several refusals the one that waiting can cure counts.
    if (!room.ok() && (first.ok() || room.code() == Code::kResourceExhausted)) first = room;
  }
  if (best < cards_.size()) return best;
  if (!first.ok()) return first;
  return Status(Code::kInvalidArgument, "card '" + spec.card + "' is unknown",
                "this host has card " + known + "; flexai cards describes them");
}

}  // namespace flexai::operate
