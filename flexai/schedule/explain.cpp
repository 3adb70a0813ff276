#include "flexai/schedule/explain.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "flexai/schedule/gang.h"

namespace flexai::schedule {
namespace {

std::string Count(int64_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

// "2.5" of a number in thousandths.
std::string Thousandths(int64_t value) {
  std::string text = std::to_string(value / 1000);
  if (value % 1000 == 0) return text;
  std::string part = std::to_string(1000 + value % 1000).substr(1);
  while (part.back() == '0') part.pop_back();
  return text + "." + part;
}

std::string Percent(Milli share) { return Thousandths(int64_t{share} * 100) + " %"; }

std::string Amount(Resource what, int64_t amount) {
  if (what == kMemory) return std::to_string(amount) + " MiB";
  return Thousandths(amount) + (what == kCards ? " cards" : " CPUs");
}

std::string Asks(const Request& request) {
  std::string text;
  if (request.cards == 0) {
    text = "no card";
  } else {
    text = Count(request.cards, "card");
    if (request.share != kWholeCard) text = Percent(request.share) + " of " + text;
    if (request.card_memory_mib > 0) {
      text += " with " + std::to_string(request.card_memory_mib) + " MiB";
    }
  }
  if (request.cpu_milli > 0) text += ", " + Amount(kCpu, request.cpu_milli);
  if (request.memory_mib > 0) text += ", " + Amount(kMemory, request.memory_mib);
  return text;
}

std::string_view LevelName(Level level) {
  constexpr std::string_view kNames[] = {"node", "rack", "block", "cluster"};
  return kNames[static_cast<size_t>(level)];
}

// What stands in the way of a request on one kind of card.
struct Tally {
  int64_t cards = 0;
  std::map<std::string, int64_t> reasons;
  Milli most_share = -1;     // of cards with enough memory
  int64_t most_memory = -1;  // of cards with enough share
  NodeId share_at = 0, memory_at = 0;
};

std::string ReasonOfCard(const Snapshot& snapshot, NodeId node, uint32_t card,
                         const Request& request, bool node_has_rest, bool enough_cards) {
  if ((request.models >> snapshot.model(node) & 1) == 0) return "CardTypeMismatch";
  if (!snapshot.open(node)) return "CardCordoned";
  if ((snapshot.usable(node) >> card & 1) == 0) return "CardNotHealth";
  const Milli share = snapshot.shares(node)[card];
  if (snapshot.card_memory(node)[card] < request.card_memory_mib) return "CardInsufficientMemory";
  if (share < request.share) {
    return request.share == kWholeCard && share > 0 ? "ExclusiveDeviceAllocateConflict"
                                                    : "CardInsufficientCore";
  }
  if (snapshot.cpu_free(node) < request.cpu_milli) return "NodeInsufficientCPU";
  if (!node_has_rest) return "NodeInsufficientMemory";
  return enough_cards ? "" : "NodeInsufficientDevice";
}

std::map<uint32_t, Tally> TallyCards(const Snapshot& snapshot, const Request& request) {
  std::map<uint32_t, Tally> models;
  for (NodeId node = 0; node < snapshot.nodes(); ++node) {
    if (snapshot.cards(node) == 0) continue;
    Tally& tally = models[snapshot.model(node)];
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < snapshot.cards(node); ++i)
      fitting += snapshot.CardFits(node, i, request);
    for (uint32_t i = 0; i < snapshot.cards(node); ++i) {
      ++tally.cards;
      const std::string reason =
          ReasonOfCard(snapshot, node, i, request, snapshot.memory_free(node) >= request.memory_mib,
                       fitting >= request.cards);
      ++tally.reasons[reason.empty() ? "Fits" : reason];
      if (!snapshot.open(node) || (snapshot.usable(node) >> i & 1) == 0) continue;
      const Milli share = snapshot.shares(node)[i];
      const int64_t memory = snapshot.card_memory(node)[i];
      if (memory >= request.card_memory_mib && share > tally.most_share) {
        tally.most_share = share;
        tally.share_at = node;
      }
      if (share >= request.share && memory > tally.most_memory) {
        tally.most_memory = memory;
        tally.memory_at = node;
      }
    }
  }
  return models;
}

std::string Line(const std::string& model, const Tally& tally, const Names& names) {
  std::string text = model + ": " + Count(tally.cards, "card") + ":";
  std::string separator = " ";
  for (const auto& [reason, count] : tally.reasons) {
    text += separator + std::to_string(count) + " " + reason;
    if ((reason == "CardInsufficientCore" || reason == "ExclusiveDeviceAllocateConflict") &&
        tally.most_share >= 0) {
      text +=
          " (most free " + Percent(tally.most_share) + " on " + names.node(tally.share_at) + ")";
    }
    if (reason == "CardInsufficientMemory" && tally.most_memory >= 0) {
      text += " (most free " + std::to_string(tally.most_memory) + " MiB on " +
              names.node(tally.memory_at) + ")";
    }
    separator = ", ";
  }
  return text;
}

// The later a card fails in this order, the nearer it is to fitting.
size_t Nearness(const std::string& reason) {
  static const std::string_view kOrder[] = {
      "CardTypeMismatch",       "CardCordoned",           "CardNotHealth",
      "CardInsufficientMemory", "CardInsufficientCore",   "ExclusiveDeviceAllocateConflict",
      "NodeInsufficientCPU",    "NodeInsufficientMemory", "NodeInsufficientDevice"};
  return static_cast<size_t>(std::find(std::begin(kOrder), std::end(kOrder), reason) -
                             std::begin(kOrder));
}

class Writer {
 public:
  Writer(const Session& session, GangId id, const Names& names)
      : session_(session), id_(id), gang_(session.workload()[id]), names_(names) {}

  Explanation Write() {
    const Verdict& verdict = session_.verdict(id_);
    switch (verdict.wait) {
      case Wait::kLimit:
      case Wait::kQuota:
        OfQueue(verdict);
        break;
      case Wait::kReserved:
        found_.code = "ReservedForOthers";
        found_.sentence = "there is room, but it is kept for " + names_.gang(verdict.head) +
                          ", which is first in line";
        found_.remedy = "an estimate of its run time short enough to end before " +
                        names_.gang(verdict.head) + " starts";
        if (const int64_t at = session_.verdict(verdict.head).reserved_s; at >= 0) {
          found_.remedy += " at " + std::to_string(at) + " s";
        }
        break;
      case Wait::kNoRoom:
      case Wait::kNotTried:
        OfRoom(verdict);
        break;
    }
    return std::move(found_);
  }

 private:
  void OfQueue(const Verdict& verdict) {
    const Queues& queues = session_.snapshot().queues();
    const bool limit = verdict.wait == Wait::kLimit;
    const int64_t used =
        (limit ? queues.used(verdict.queue) : queues.firm(verdict.queue))[verdict.what];
    const int64_t most =
        (limit ? queues[verdict.queue].limit : queues[verdict.queue].quota)[verdict.what];
    const int64_t asks = session_.Lacking(id_)[verdict.what];
    const std::string name = "queue " + names_.queue(verdict.queue);
    found_.code = "ResourceQuotaNotFit";
    found_.sentence = "asks for " + Amount(verdict.what, asks) + "; " + name + " holds " +
                      Amount(verdict.what, used) + (limit ? "" : " for good") + " of its " +
                      (limit ? "limit" : "quota") + " of " + Amount(verdict.what, most);
    found_.remedy = std::string(limit ? "" : "preemptible: true, or ") +
                    (limit ? "a limit" : "a quota") + " of " + Amount(verdict.what, used + asks) +
                    " for " + name;
  }

  const Part& Lacking() const {
    if (const auto proof = ProveNoRoom(session_, id_)) return gang_.parts[proof->part];
    for (const Part& part : gang_.parts) {
      if (session_.workload().Placed(part) < part.minimum) return part;
    }
    return gang_.parts.front();
  }

  void OfRoom(const Verdict& verdict) {
    const Snapshot& snapshot = session_.snapshot();
    const Part& part = Lacking();
    const auto never = ProveNoRoom(session_, id_, /*empty=*/true);
    const auto now = ProveNoRoom(session_, id_);
    const auto models = TallyCards(snapshot, part.request);
    int64_t most = 0;
    for (const auto& [model, tally] : models) {
      found_.cards.push_back(Line(names_.model(model), tally, names_));
      for (const auto& [reason, count] : tally.reasons) {
        if (reason == "Fits" || count < most) continue;
        if (count == most && Nearness(reason) < Nearness(found_.code)) continue;
        most = count;
        found_.code = reason;
      }
    }
    if (part.request.cards == 0) found_.code = "NodeInsufficientCPU";
    const Level level = std::min(gang_.required, part.required);
    found_.sentence = "each task asks for " + Asks(part.request);
    if (part.minimum > 1 || gang_.parts.size() > 1) {
      found_.code = level == Level::kAnywhere ? "GangInsufficientRoom" : "TopologyNotFit";
      found_.sentence =
          std::to_string(part.minimum) + " tasks have to start together, " + found_.sentence;
    }
    const auto& proof = never ? never : now;
    if (proof) {
      found_.sentence += std::string("; ") + (never ? "even when nothing runs, " : "") +
                         (level == Level::kAnywhere ? std::string("the cluster")
                                                    : "the best " + std::string(LevelName(level))) +
                         " has room for " + std::to_string(proof->slots) + " of " +
                         std::to_string(proof->needed);
    } else {
      found_.sentence += "; no way to place them was found";
    }
    // What failed or is being emptied may come back.
    const bool closed = found_.code == "CardCordoned" || found_.code == "CardNotHealth";
    if (never && !closed) found_.code = "NeverFits";
    Remedy(verdict, part, models, never.has_value());
    if (closed) found_.remedy += "; or nodes and cards that are open and healthy again";
  }

  void Remedy(const Verdict& verdict, const Part& part, const std::map<uint32_t, Tally>& models,
              bool never) {
    std::vector<std::string> ways;
    if (verdict.reserved_s >= 0) {
      ways.push_back("waiting: it has a reservation for " + std::to_string(verdict.reserved_s) +
                     " s");
    }
    Milli share = 0;
    int64_t memory = 0;
    for (const auto& [model, tally] : models) {
      if ((part.request.models >> model & 1) == 0) continue;
      share = std::max(share, tally.most_share);
      memory = std::max(memory, tally.most_memory);
    }
    const auto runs_with = [&](Request smaller) {
      uint64_t slots = 0;
      for (NodeId node = 0; node < session_.snapshot().nodes(); ++node) {
        slots += Slots(session_.snapshot(), node, smaller);
      }
      return slots >= part.minimum;
    };
    Request smaller = part.request;
    smaller.share = share;
    if (share > 0 && share < part.request.share && runs_with(smaller)) {
      ways.push_back("a share of " + Percent(share));
    }
    smaller = part.request;
    smaller.card_memory_mib = memory;
    if (memory > 0 && memory < part.request.card_memory_mib && runs_with(smaller)) {
      ways.push_back("a card memory of " + std::to_string(memory) + " MiB");
    }
    smaller = part.request;
    smaller.models = kAnyModel;
    if (part.request.models != kAnyModel && runs_with(smaller)) ways.push_back("any card model");
    if (ways.empty()) {
      ways.push_back(never ? "other nodes, or a smaller request" : "waiting until others end");
    }
    for (const std::string& way : ways)
      found_.remedy += (found_.remedy.empty() ? "" : "; or ") + way;
  }

  const Session& session_;
  GangId id_;
  const Gang& gang_;
  const Names& names_;
  Explanation found_;
};

}  // namespace

Explanation Explain(const Session& session, GangId gang, const Names& names) {
  return Writer(session, gang, names).Write();
}

}  // namespace flexai::schedule
