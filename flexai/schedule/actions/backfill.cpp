// EASY: the first gang in the order that has no room gets a reservation: the earliest time at which
// those that run will have left it room, by their estimates. Others go ahead of it if they end by
// then and can be made to give way if they do not, or if they fit beside it even then.
#include <algorithm>
#include <map>
#include <tuple>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/actions/claim.h"
#include "flexai/schedule/actions/walk.h"
#include "flexai/schedule/cards.h"

namespace flexai::schedule {
namespace {

class Reservation {
 public:
  Reservation(Session* session, const Claims* claims) : session_(session), claims_(claims) {}
  bool made() const { return made_; }
  GangId head() const { return head_; }

  // Finds out when the gang will have room, and what will then be where. False: not even when all
  // have left, as far as trying tells.
  bool Make(GangId head) {
    std::vector<std::pair<int64_t, GangId>> ends;
    for (const GangId id : session_->workload().active()) {
      if (session_->workload().Running(id) && id != head) ends.emplace_back(Gone(id, head), id);
    }
    std::stable_sort(ends.begin(), ends.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<GangId> leaving;
    leaving.reserve(ends.size());
    for (const auto& [end_s, id] : ends) leaving.push_back(id);
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
      at_s_ = ends[enough - 1].first;
      while (enough < leaving.size() && ends[enough].first == at_s_) ++enough;
    } else {
      at_s_ = session_->now_s();
    }
    const Session::Point point = session_->Checkpoint();
    for (size_t i = 0; i < enough; ++i) LiftAll(leaving[i]);
    if (PlaceMinimum(session_, head)) {
      future_ = session_->snapshot();
      made_ = true;
      head_ = head;
      session_->Reserve(head);
      session_->LetPast(Session::Passing::kMovedAndStarted);
    }
    session_->Rollback(point);
    session_->SetVerdict(head, {.wait = Wait::kNoRoom, .reserved_s = made_ ? at_s_ : -1});
    return made_;
  }

  // Whether it can be made to give way in time, should it still be there.
  bool GivesWay(GangId id) const {
    const Gang& gang = session_->workload()[id];
    return gang.preemptible &&
           (!session_->options().claim_waits || session_->now_s() + gang.least_run_s <= at_s_);
  }

  // Whether what was just placed for the gang leaves the head its place; remembers it if so. Whom
  // it made leave will not be there then either.
  bool Respects(GangId id) {
    if (session_->now_s() + session_->RunTime(id) <= at_s_ && GivesWay(id)) return true;
    std::vector<std::pair<JobId, Placement>> gone;
    for (const Decision& decision : session_->tentative()) {
      if (decision.act != Act::kEvict || session_->snapshot().placed(decision.job)) continue;
      if (!future_.placed(decision.job)) continue;
      gone.emplace_back(decision.job, future_.placement(decision.job));
      future_.Remove(decision.job);
    }
    std::vector<JobId> placed;
    bool room = true;
    session_->workload().ForEachTask(id, [&](JobId job) {
      if (!room || !session_->snapshot().placed(job) || future_.placed(job)) return;
      room = future_.Place(job, session_->snapshot().placement(job)).ok();
      if (room) placed.push_back(job);
    });
    if (!room) {
      for (const JobId job : placed) future_.Remove(job);
      for (const auto& [job, place] : gone) (void)future_.Place(job, place);
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
  // When the gang will be gone: by its estimate, or as soon as the head may claim its place.
  int64_t Gone(GangId id, GangId head) const {
    const int64_t end_s = session_->End(id);
    if (!claims_->Any()) return end_s;
    const Workload& workload = session_->workload();
    bool claimed = true;
    workload.ForEachTask(id, [&](JobId job) {
      claimed =
          claimed && (!session_->snapshot().placed(job) || claims_->May(head, job, /*first=*/true));
    });
    return claimed ? session_->now_s() : end_s;
  }

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
    const bool fits = PlaceMinimum(session_, head);
    session_->Rollback(point);
    return fits;
  }

  Session* session_;
  const Claims* claims_;
  bool made_ = false;
  GangId head_ = 0;
  int64_t at_s_ = 0;
  Snapshot future_;  // when the head has started
};

// Single tasks of one kind that run equally long and may be touched alike need not be tried again.
using Kind = std::tuple<Request, RemoteUse, int64_t, int64_t, bool>;

// Through the order, until one that has a reservation makes others leave. What it leaves over is
// for those before it first. With `claims_only` nobody else is let past, so that nobody comes to
// what it leaves over while it is being claimed.
class Pass {
 public:
  Pass(Session* session, bool claims_only)
      : session_(session),
        claims_only_(claims_only),
        claims_(session),
        reservation_(session, &claims_) {}

  // Whether anybody had to leave.
  bool Run() {
    if (claims_only_ && !claims_.AnyHopeful()) return false;
    Walk(
        session_, [this](GangId id) { return Start(id); },
        [this](GangId id) { return Blocked(id); });
    session_->LetPast(Session::Passing::kNobody);
    return claimed_;
  }

 private:
  std::optional<Kind> KindOf(GangId id) const {
    const Gang& gang = session_->workload()[id];
    if (gang.parts.size() > 1 || gang.parts[0].tasks > 1) return std::nullopt;
    if (claims_.Stands(id)) return std::nullopt;  // may do what others of its kind may not
    return Kind{gang.parts[0].request, gang.parts[0].remote, session_->RunTime(id),
                gang.least_run_s, gang.preemptible};
  }

  bool Start(GangId id) {
    hindered_ = false;
    if (claimed_) return false;
    if (claims_only_ && reservation_.made() && !claims_.Stands(id)) return false;
    const std::optional<Kind> known = KindOf(id);
    if (const auto before = known ? hopeless_.find(*known) : hopeless_.end();
        before != hopeless_.end()) {
      hindered_ = before->second;
      return false;
    }
    const Session::Point point = session_->Checkpoint();
    if (!PlaceGang(session_, id)) return StartInClaimed(id);
    if (!reservation_.made() || reservation_.Respects(id)) return true;
    session_->Rollback(point);
    const auto beside = [this](Session* same, GangId gang, JobId job,
                               std::span<const NodeId> nodes) {
      return reservation_.PlaceBeside(same, gang, job, nodes);
    };
    if (PlaceGang(session_, id, beside) && reservation_.Respects(id)) return true;
    session_->Rollback(point);
    // Who has a reservation of its own, from when it was the first, or stands before one that has,
    // is not held up by those after it that are let past this one: it goes before them, and gives
    // way like them.
    if (claims_.Stands(id) && reservation_.GivesWay(id)) return PlaceMinimum(session_, id);
    hindered_ = true;
    return false;
  }

  bool StartInClaimed(GangId id) {
    const Session::Point point = session_->Checkpoint();
    if (!claims_.Start(id, /*first=*/!reservation_.made())) return false;
    if (!reservation_.made() || reservation_.GivesWay(id) || reservation_.Respects(id)) {
      return claimed_ = true;
    }
    session_->Rollback(point);
    hindered_ = true;
    return false;
  }

  // Whether the walk goes on.
  bool Blocked(GangId id) {
    if (claimed_) return false;
    if (hindered_) {
      session_->SetVerdict(id, {.wait = Wait::kReserved, .head = reservation_.head()});
    } else {
      session_->SetVerdict(id, {.wait = Wait::kNoRoom});
    }
    if (const std::optional<Kind> known = KindOf(id)) hopeless_.emplace(*known, hindered_);
    if (reservation_.made()) return true;
    // Who has no room without all others either holds nobody up: those behind it that start would
    // count as let past its reservation, though they are the first in line, and lose their places
    // to whom they take them from.
    const bool never = ProveNoRoom(*session_, id, /*empty=*/true).has_value();
    if (never || !reservation_.Make(id)) session_->DropReservation(id);
    return true;
  }

  Session* session_;
  bool claims_only_;
  Claims claims_;
  Reservation reservation_;
  std::map<Kind, bool> hopeless_;  // and whether only the reservation was in the way
  bool hindered_ = false;          // the last gang had room, but not beside the reservation
  bool claimed_ = false;
};

}  // namespace

void Backfill(Session* session) {
  const auto pass = [session](bool claims_only) {
    session->QueueAgain();
    return Pass(session, claims_only).Run();
  };
  do {
    while (pass(/*claims_only=*/true)) {
    }
  } while (pass(/*claims_only=*/false));
  // Whom a limit still stops in the end holds nobody up.
  for (const GangId id : session->workload().active()) {
    const Wait wait = session->verdict(id).wait;
    if (wait == Wait::kLimit || wait == Wait::kQuota) session->DropReservation(id);
  }
}

}  // namespace flexai::schedule
