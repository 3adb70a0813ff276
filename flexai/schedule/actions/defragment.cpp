// Moves for nobody in particular: jobs of one node are placed anew if that leaves fewer idle cards
// that are of no use to the usual jobs. Nobody who is busy loses work by it.
#include <algorithm>
#include <set>
#include <tuple>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/room.h"

namespace flexai::schedule {
namespace {

constexpr int64_t kLeastGain = 40;      // of each move, in milli-cards
constexpr size_t kMostNodesTried = 64;  // of one run, for idle jobs and for others

class Defragmenting {
 public:
  explicit Defragmenting(Session* session)
      : session_(session),
        usual_(*session->options().usual),
        moves_left_(session->options().defragment_moves) {
    for (const Decision& decision : session->decisions()) touched_.insert(decision.job);
  }

  void Run() {
    for (const Movable last : {Movable::kIdle, Movable::kCheckpointable}) {
      for (const NodeId node : Nodes(last)) Tidy(node, last);
    }
  }

 private:
  struct Move {
    JobId job;
    Placement home;
  };

  // Where jobs up to this Movable are, those with the fewest jobs first: they are emptied soonest.
  std::vector<NodeId> Nodes(Movable last) const {
    const Snapshot& snapshot = session_->snapshot();
    std::vector<std::tuple<size_t, int64_t, NodeId>> found;
    for (NodeId node = 0; node < snapshot.nodes(); ++node) {
      const std::span<const JobId> jobs = session_->jobs_on(node);
      const int64_t fragments = usual_.OfNode(snapshot, node);
      const bool any = std::any_of(jobs.begin(), jobs.end(),
                                   [&](JobId job) { return MayMove(job, node, last); });
      if (!snapshot.open(node) || fragments == 0 || !any) continue;
      found.emplace_back(jobs.size(), -fragments, node);
    }
    const size_t tried = std::min(found.size(), kMostNodesTried);
    std::partial_sort(found.begin(), found.begin() + static_cast<ptrdiff_t>(tried), found.end());
    std::vector<NodeId> nodes;
    nodes.reserve(tried);
    for (size_t i = 0; i < tried; ++i) nodes.push_back(std::get<NodeId>(found[i]));
    return nodes;
  }

  bool MayMove(JobId job, NodeId node, Movable last) const {
    const Workload& workload = session_->workload();
    const Snapshot& snapshot = session_->snapshot();
    if (MovableOf(*session_, job) > last) return false;
    if (!snapshot.placed(job) || workload.Degraded(job) || touched_.contains(job)) return false;
    const Placement place = snapshot.placement(job);
    const GangId id = workload.gang(job);
    const bool alone = workload[id].parts.size() == 1 && workload.part(job).tasks == 1;
    return alone && place.node == node && place.host == kSameNode &&
           session_->now_s() - workload.started_s(id) >= workload[id].least_run_s;
  }

  // In the order in which they are to be moved.
  std::vector<JobId> Movers(NodeId node, Movable last) const {
    std::vector<std::tuple<Movable, int64_t, int64_t, JobId>> found;
    for (const JobId job : session_->jobs_on(node)) {
      if (!MayMove(job, node, last)) continue;
      found.emplace_back(MovableOf(*session_, job), LostWork(*session_, job),
                         -session_->End(session_->workload().gang(job)), job);
    }
    std::sort(found.begin(), found.end());
    std::vector<JobId> movers;
    movers.reserve(found.size());
    for (const auto& one : found) movers.push_back(std::get<JobId>(one));
    return movers;
  }

  int64_t Fragments(const std::set<NodeId>& nodes) const {
    int64_t sum = 0;
    for (const NodeId node : nodes) sum += usual_.OfNode(session_->snapshot(), node);
    return sum;
  }

  // Moves as many of the first of them as bring most, or nobody.
  void Tidy(NodeId node, Movable last) {
    const std::vector<JobId> movers = Movers(node, last);
    std::vector<Move> best;
    int64_t most = 0;
    for (size_t count = 1; count <= std::min(movers.size(), moves_left_); ++count) {
      int64_t gain = 0;
      std::vector<Move> moves = Plan(node, {movers.data(), count}, &gain);
      if (gain <= most) continue;
      most = gain;
      best = std::move(moves);
    }
    const Session::Point point = session_->Checkpoint();
    if (!CarryOut(best)) {
      session_->Rollback(point);
      return;
    }
    moves_left_ -= best.size();
    for (const Move& move : best) touched_.insert(move.job);
    session_->Commit();
  }

  // Where the policy would put them if they all came anew; `gain` is of milli-cards times the
  // weight of the usual jobs, less what the moves have to bring.
  std::vector<Move> Plan(NodeId node, std::span<const JobId> movers, int64_t* gain) {
    const Snapshot& snapshot = session_->snapshot();
    const Session::Point point = session_->Checkpoint();
    std::vector<Placement> places;
    places.reserve(movers.size());
    for (const JobId job : movers) {
      places.push_back(snapshot.placement(job));
      session_->Lift(job);
    }
    std::vector<Move> moves;
    std::set<NodeId> nodes = {node};
    for (size_t i = 0; i < movers.size(); ++i) {
      const auto home = session_->placer()->Find(snapshot.request(movers[i]));
      if (!home || !Put({movers[i], *home})) {
        session_->Rollback(point);
        return {};
      }
      if (*home == places[i]) continue;
      moves.push_back({movers[i], *home});
      nodes.insert(home->node);
    }
    const int64_t after = Fragments(nodes);
    session_->Rollback(point);
    *gain = Fragments(nodes) - after -
            kLeastGain * usual_.weight() * static_cast<int64_t>(moves.size());
    return moves;
  }

  // One after the other: each has to find its home free.
  bool CarryOut(std::span<const Move> moves) {
    return std::all_of(moves.begin(), moves.end(), [this](const Move& move) {
      session_->Lift(move.job);
      return Put(move);
    });
  }

  bool Put(const Move& move) {
    const GangId gang = session_->workload().gang(move.job);
    return session_->Place(move.job, move.home, gang, Act::kMove).ok();
  }

  Session* session_;
  const Fragmentation& usual_;
  size_t moves_left_;
  std::set<JobId> touched_;  // in this round
};

}  // namespace

void Defragment(Session* session) {
  const Options& options = session->options();
  const Workload& workload = session->workload();
  if (options.usual == nullptr || options.defragment_every_s <= 0) return;
  if (session->now_s() - workload.defragmented_s() < options.defragment_every_s) return;
  const bool awaited = std::any_of(workload.active().begin(), workload.active().end(),
                                   [&workload](GangId id) { return workload.reserved(id) != 0; });
  if (awaited) return;
  Defragmenting(session).Run();
  session->SetDefragmented();
}

}  // namespace flexai::schedule
