// EASY: the first gang in the order that has no room gets a reservation: the earliest time at which
// those that run will have left it room, by their estimates. Others go ahead of it if they end by
// then, or if they fit beside it even then.
#include <algorithm>
#include <map>
#include <tuple>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/actions/walk.h"
#include "flexai/schedule/cards.h"

namespace flexai::schedule {
namespace {

class Reservation {
 public:
  explicit Reservation(Session* session) : session_(session) {}
  bool made() const { return made_; }
  GangId head() const { return head_; }

  // Finds out when the gang will have room, and what will then be where.
  void Make(GangId head) {
    std::vector<GangId> leaving;
    for (const GangId id : session_->workload().active()) {
      if (session_->workload().Running(id) && id != head) leaving.push_back(id);
    }
    std::stable_sort(leaving.begin(), leaving.end(),
                     [this](GangId a, GangId b) { return session_->End(a) < session_->End(b); });
    // The fewest that have to leave, by halving.
    size_t none = 0, enough = leaving.size();
    while (none < enough) {
      const size_t middle = none + (enough - none) / 2;
      if (FitsWithout({leaving.data(), middle}, head)) {
        enough = middle;
      } else {
        none = middle + 1;
      }
    }
    if (enough > 0) {
      // Who ends at the same time leaves room as well.
      const int64_t at_s = session_->End(leaving[enough - 1]);
      while (enough < leaving.size() && session_->End(leaving[enough]) == at_s) ++enough;
    }
    const Session::Point point = session_->Checkpoint();
    for (size_t i = 0; i < enough; ++i) LiftAll(leaving[i]);
    if (PlaceGang(session_, head)) {
      future_ = session_->snapshot();
      made_ = true;
      head_ = head;
      session_->Reserve(head);
      session_->LetPast(true);
      at_s_ = enough == 0 ? session_->now_s() : session_->End(leaving[enough - 1]);
    }
    session_->Rollback(point);
    session_->SetVerdict(head, {.wait = Wait::kNoRoom, .reserved_s = made_ ? at_s_ : -1});
  }

  // Whether what was just placed for the gang leaves the head its place; remembers it if so.
  bool Respects(GangId id) {
    if (session_->now_s() + session_->RunTime(id) <= at_s_) return true;
    std::vector<JobId> placed;
    bool room = true;
    session_->workload().ForEachTask(id, [&](JobId job) {
      if (!room || !session_->snapshot().placed(job) || future_.placed(job)) return;
      room = future_.Place(job, session_->snapshot().placement(job)).ok();
      if (room) placed.push_back(job);
    });
    if (!room) {
      for (const JobId job : placed) future_.Remove(job);
    }
    return room;
  }

  // A place where the task fits now and then as well: the best by the policy, if its cards are
  // free then too, or else the first.
  bool PlaceBeside(Session*, GangId gang, JobId job, std::span<const NodeId> nodes) {
    const Snapshot& now = session_->snapshot();
    const Request& request = now.request(job);
    std::vector<NodeId> both, others;
    for (NodeId i = 0; i < (nodes.empty() ? now.nodes() : nodes.size()); ++i) {
      const NodeId node = nodes.empty() ? i : nodes[i];
      if (now.Fits(node, request) && future_.Fits(node, request)) both.push_back(node);
    }
    if (both.empty()) return false;
    const Bonds bonds = BondsOf(*session_, job, &others);
    const auto best = session_->placer()->FindFor(request, bonds, both);
    if (best && FreeThen(*best, request)) return session_->Place(job, *best, gang).ok();
    for (const NodeId node : both) {
      CardSet cards = 0;
      uint32_t found = 0;
      for (uint32_t card = 0; card < now.cards(node) && found < request.cards; ++card) {
        if (!now.CardFits(node, card, request) || !future_.CardFits(node, card, request)) continue;
        cards |= CardSet{1} << card;
        ++found;
      }
      if (found == request.cards) return session_->Place(job, {node, cards}, gang).ok();
    }
    return false;
  }

 private:
  void LiftAll(GangId id) {
    session_->workload().ForEachTask(id, [this](JobId job) {
      if (session_->snapshot().placed(job)) session_->Lift(job);
    });
  }

  bool FreeThen(const Placement& place, const Request& request) const {
    for (uint32_t card = 0; card < future_.cards(place.node); ++card) {
      const bool wanted = (place.cards >> card & 1) != 0;
      if (wanted && !future_.CardFits(place.node, card, request)) return false;
    }
    return true;
  }

  bool FitsWithout(std::span<const GangId> leaving, GangId head) {
    const Session::Point point = session_->Checkpoint();
    for (const GangId id : leaving) LiftAll(id);
    const bool fits = PlaceGang(session_, head);
    session_->Rollback(point);
    return fits;
  }

  Session* session_;
  bool made_ = false;
  GangId head_ = 0;
  int64_t at_s_ = 0;
  Snapshot future_;  // when the head has started
};

// Single tasks of one kind that run equally long need not be tried again.
using Kind = std::tuple<Request, RemoteUse, int64_t>;

}  // namespace

void Backfill(Session* session) {
  Reservation reservation(session);
  std::map<Kind, bool> hopeless;  // and whether only the reservation was in the way
  const auto kind = [session](GangId id) -> std::optional<Kind> {
    const Gang& gang = session->workload()[id];
    if (gang.parts.size() > 1 || gang.parts[0].tasks > 1) return std::nullopt;
    return Kind{gang.parts[0].request, gang.parts[0].remote, session->RunTime(id)};
  };
  bool hindered = false;  // the last gang had room, but not beside the reservation
  const auto place = [&](GangId id) {
    hindered = false;
    const std::optional<Kind> known = kind(id);
    if (const auto before = known ? hopeless.find(*known) : hopeless.end();
        before != hopeless.end()) {
      hindered = before->second;
      return false;
    }
    const Session::Point point = session->Checkpoint();
    if (!PlaceGang(session, id)) return false;
    if (!reservation.made() || reservation.Respects(id)) return true;
    session->Rollback(point);
    const auto beside = [&](Session* same, GangId gang, JobId job, std::span<const NodeId> nodes) {
      return reservation.PlaceBeside(same, gang, job, nodes);
    };
    if (PlaceGang(session, id, beside) && reservation.Respects(id)) return true;
    session->Rollback(point);
    hindered = true;
    return false;
  };
  Walk(session, place, [&](GangId id) {
    if (hindered) {
      session->SetVerdict(id, {.wait = Wait::kReserved, .head = reservation.head()});
    } else {
      session->SetVerdict(id, {.wait = Wait::kNoRoom});
    }
    if (const std::optional<Kind> known = kind(id)) hopeless.emplace(*known, hindered);
    if (!reservation.made() && !ProveNoRoom(*session, id, /*empty=*/true)) reservation.Make(id);
    return true;
  });
  session->LetPast(false);
}

}  // namespace flexai::schedule
