#include "flexai/schedule/actions/claim.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "flexai/schedule/gang.h"

namespace flexai::schedule {
namespace {

// Tasks that were let past a reservation, the last first.
std::vector<JobId> Passers(const Session& session) {
  const Workload& workload = session.workload();
  std::vector<JobId> passers;
  for (const GangId id : workload.active()) {
    if (!workload[id].preemptible) continue;
    workload.ForEachTask(id, [&](JobId job) {
      if (workload.past(job) != 0 && session.snapshot().placed(job)) passers.push_back(job);
    });
  }
  std::sort(passers.begin(), passers.end(),
            [&](JobId a, JobId b) { return workload.past(a) > workload.past(b); });
  return passers;
}

struct Lifted {
  JobId job;
  Placement place;
};

class Claiming {
 public:
  Claiming(Session* session, const Claims* claims, GangId head, bool first,
           std::span<const JobId> passers)
      : session_(session), claims_(claims), head_(head), first_(first) {
    for (const JobId job : passers) {
      if (claims->May(head, job, first)) passers_.push_back(job);
    }
  }

  // Evicts no more than has to go, the last first, and starts the head.
  bool Try() {
    const Workload& workload = session_->workload();
    const Session::Point point = session_->Checkpoint();
    if (passers_.empty() || !FitsWithout(passers_.size())) return false;
    size_t none = 1, enough = passers_.size();
    while (none < enough) {
      const size_t middle = none + (enough - none) / 2;
      if (FitsWithout(middle)) {
        enough = middle;
      } else {
        none = middle + 1;
      }
    }
    std::vector<Lifted> lifted = Lift(enough), places;
    (void)PlaceMinimum(session_, head_);
    workload.ForEachTask(head_, [&](JobId job) {
      if (session_->snapshot().placed(job)) {
        places.push_back({job, session_->snapshot().placement(job)});
      }
    });
    const std::vector<JobId> in_the_way = PutBack(std::move(lifted));
    session_->Rollback(point);
    for (const JobId job : in_the_way) session_->EvictTask(job, head_);
    for (const auto& [job, place] : places) {
      if (session_->snapshot().placed(job)) continue;
      if (session_->Place(job, place, head_).ok()) continue;
      session_->Rollback(point);
      return false;
    }
    return true;
  }

 private:
  // Takes so many of the last off their cards, and with each task its gang that cannot do without.
  std::vector<Lifted> Lift(size_t count) {
    std::vector<Lifted> lifted;
    const Workload& workload = session_->workload();
    const auto lift = [&](JobId job) {
      if (!session_->snapshot().placed(job)) return;
      lifted.push_back({job, session_->snapshot().placement(job)});
      session_->Lift(job);
    };
    for (size_t i = 0; i < count; ++i) {
      const JobId job = passers_[i];
      if (!session_->snapshot().placed(job)) continue;
      if (!TakesAll(*session_, job)) {
        lift(job);
        continue;
      }
      bool all = true;
      workload.ForEachTask(workload.gang(job), [&](JobId task) {
        if (session_->snapshot().placed(task)) all = all && claims_->May(head_, task, first_);
      });
      if (all) workload.ForEachTask(workload.gang(job), lift);
    }
    return lifted;
  }

  bool FitsWithout(size_t count) {
    const Session::Point point = session_->Checkpoint();
    (void)Lift(count);
    const bool fits = PlaceMinimum(session_, head_);
    session_->Rollback(point);
    return fits;
  }

  // Those that can stay where they were go back, the first first, gangs as a whole; the rest is
  // returned.
  std::vector<JobId> PutBack(std::vector<Lifted> lifted) {
    const Workload& workload = session_->workload();
    std::map<GangId, uint64_t> last;  // of its tasks to come
    for (const Lifted& one : lifted) {
      uint64_t& at = last[workload.gang(one.job)];
      at = std::max(at, workload.past(one.job));
    }
    std::sort(lifted.begin(), lifted.end(), [&](const Lifted& a, const Lifted& b) {
      return std::tuple(last[workload.gang(a.job)], a.job) <
             std::tuple(last[workload.gang(b.job)], b.job);
    });
    std::vector<JobId> rest;
    for (size_t i = 0, end = 0; i < lifted.size(); i = end) {
      const GangId gang = workload.gang(lifted[i].job);
      const Session::Point point = session_->Checkpoint();
      bool fits = true;
      for (; end < lifted.size() && workload.gang(lifted[end].job) == gang; ++end) {
        fits = fits && session_->Place(lifted[end].job, lifted[end].place, head_).ok();
      }
      if (fits) continue;
      session_->Rollback(point);
      for (size_t at = i; at < end; ++at) rest.push_back(lifted[at].job);
    }
    return rest;
  }

  Session* session_;
  const Claims* claims_;
  GangId head_;
  bool first_;
  std::vector<JobId> passers_;
};

}  // namespace

Claims::Claims(Session* session)
    : session_(session),
      passers_(Passers(*session)),
      heads_(session->snapshot().queues().size()),
      holders_(heads_.size()) {
  for (const GangId id : session->workload().active()) {
    const Workload& workload = session->workload();
    if (workload.reserved(id) != 0) holders_[workload[id].queue].push_back(id);
  }
  for (QueueId queue = 0; queue < heads_.size(); ++queue) {
    for (const GangId id : session->waiting(queue)) {
      const Workload& workload = session->workload();
      if (workload.reserved(id) != 0 && !workload.Running(id)) heads_[queue].push_back(id);
    }
  }
  if (!passers_.empty()) FindHopeful();
}

bool Claims::Stands(GangId gang) const {
  const Workload& workload = session_->workload();
  const std::vector<GangId>& heads = heads_[workload[gang].queue];
  return !heads.empty() && !workload.Before(heads.back(), gang);
}

// The number of the oldest reservation of the gang or of those behind it in its queue.
uint64_t Claims::Oldest(GangId gang) const {
  const Workload& workload = session_->workload();
  uint64_t oldest = UINT64_MAX;
  for (const GangId holder : holders_[workload[gang].queue]) {
    if (!workload.Before(holder, gang)) oldest = std::min(oldest, workload.reserved(holder));
  }
  return oldest;
}

bool Claims::May(GangId gang, JobId task, bool first) const {
  const Workload& workload = session_->workload();
  if (!first && Oldest(workload.gang(task)) < Oldest(gang)) return false;
  const std::vector<GangId>& heads = heads_[workload[gang].queue];
  return std::any_of(heads.begin(), heads.end(), [&](GangId head) {
    return !workload.Before(head, gang) && session_->MayClaim(head, task);
  });
}

// One sweep for all that wait: the older the oldest reservation at or behind one, the more others
// it may do without. By counting, which never calls one hopeless that has room.
void Claims::FindHopeful() {
  const Workload& workload = session_->workload();
  std::vector<std::pair<uint64_t, GangId>> sweep;
  for (QueueId queue = 0; queue < heads_.size(); ++queue) {
    if (heads_[queue].empty()) continue;
    uint64_t oldest = UINT64_MAX;
    const std::span<const GangId> waiting = session_->waiting(queue);
    for (size_t i = waiting.size(); i-- > 0;) {
      if (workload.Running(waiting[i])) continue;
      if (const uint64_t own = workload.reserved(waiting[i]); own != 0)
        oldest = std::min(oldest, own);
      if (oldest != UINT64_MAX) sweep.emplace_back(oldest, waiting[i]);
    }
  }
  std::stable_sort(sweep.begin(), sweep.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  const Session::Point point = session_->Checkpoint();
  std::map<std::pair<Request, RemoteUse>, bool> known;  // of single tasks, until more are lifted
  size_t next = 0;
  for (const auto& [reserved, id] : sweep) {
    for (; next < passers_.size() && workload.past(passers_[next]) > reserved; ++next) {
      session_->Lift(passers_[next]);
      known.clear();
    }
    if (next == 0) continue;
    const Gang& gang = workload[id];
    const bool single = gang.parts.size() == 1 && gang.parts[0].tasks == 1;
    const std::pair kind(gang.parts[0].request, gang.parts[0].remote);
    const auto found = single ? known.find(kind) : known.end();
    const bool room = found == known.end() ? !ProveNoRoom(*session_, id) : found->second;
    if (single) known.emplace(kind, room);
    if (room) hopeful_.insert(id);
  }
  session_->Rollback(point);
}

bool Claims::Start(GangId gang, bool first) const {
  return Hopeful(gang) && Claiming(session_, this, gang, first, passers_).Try();
}

}  // namespace flexai::schedule
