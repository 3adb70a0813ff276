// What fits where: the sum of shares and of memory limits on a card never passes the card.
#include <algorithm>
#include <map>
#include <sstream>

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

model::Bytes Daemon::DefaultMemory(size_t card, model::Permille share) const {
  return cards_[card].memory_bytes / 1000 * static_cast<uint64_t>(share);
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

// Those that the spec names, or all.
Result<std::vector<size_t>> Daemon::NamedCards(const model::SliceSpec& spec) const {
  std::string known;
  for (const model::Card& card : cards_) known += (known.empty() ? "" : ", ") + card.id;
  std::vector<size_t> named;
  std::istringstream names(spec.card + ",");  // so that nothing is a name, too
  for (std::string name; std::getline(names, name, ',');) {
    FLEXAI_RETURN_IF_ERROR(WhyNot(name));
    bool found = false;
    for (size_t card = 0; card < cards_.size(); ++card) {
      if (name != "auto" && name != cards_[card].id && name != cards_[card].uuid) continue;
      found = true;
      if (std::find(named.begin(), named.end(), card) == named.end()) named.push_back(card);
    }
    if (found) continue;
    return Status(Code::kInvalidArgument, "card '" + name + "' is unknown",
                  "this host has card " + known + "; flexai cards describes them");
  }
  return named;
}

// Of several cards all are of one kind. The fullest that still have room, so that large slices find
// empty ones.
Result<std::vector<size_t>> Daemon::PickCards(const model::SliceSpec& spec,
                                              const Parts& others) const {
  const Result<std::vector<size_t>> named = NamedCards(spec);
  if (!named.ok()) return named.status();
  const auto count = static_cast<size_t>(spec.cards);
  std::map<std::string, std::vector<size_t>> alike, fits;
  Status first;
  for (const size_t card : *named) {
    const model::Card& c = cards_[card];
    const bool taken = std::any_of(others.begin(), others.end(),
                                   [&](const SliceRecord* part) { return part->card == card; });
    if (taken || ((count > 1 || !others.empty()) && !c.joins)) continue;
    const std::string kind = count > 1 ? c.backend + " " + c.model : "";
    alike[kind].push_back(card);
    model::SliceSpec here = spec;
    if (here.memory == 0) here.memory = DefaultMemory(card, spec.share);
    const Status room = RoomOn(card, here, nullptr);
    if (room.ok()) fits[kind].push_back(card);
    // Of several refusals the one that waiting can cure counts.
    if (!room.ok() && (first.ok() || room.code() == Code::kResourceExhausted)) first = room;
  }
  size_t most = 0;
  for (const auto& [kind, cards] : alike) most = std::max(most, cards.size());
  if (most < count) {
    return Status(Code::kOutOfRange,
                  "a slice of " + std::to_string(count) +
                      " cards needs as many of one model whose driver lets a program use several; "
                      "there are " +
                      std::to_string(most),
                  "ask for fewer, or see which cards there are: flexai cards");
  }
  for (auto& [kind, cards] : fits) {
    if (cards.size() < count) continue;
    std::stable_sort(cards.begin(), cards.end(), [&](size_t a, size_t b) {
      return GrantedShare(a, nullptr) > GrantedShare(b, nullptr);
    });
    cards.resize(count);
    std::sort(cards.begin(), cards.end());
    return cards;
  }
  return first;
}

}  // namespace flexai::operate
