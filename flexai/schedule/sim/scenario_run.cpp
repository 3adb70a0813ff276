#include "flexai/schedule/sim/scenario_run.h"

#include <algorithm>
#include <memory>
#include <set>

#include "flexai/schedule/actions.h"
#include "flexai/schedule/run_times.h"
#include "flexai/schedule/sim/expect.h"

namespace flexai::schedule::sim {
namespace {

constexpr int kEstimatePermille = 900;
constexpr int64_t kNever = INT64_MAX;

// What the engine knows of a job besides what the scheduler knows.
struct Track {
  bool arrived = false;
  GangId gang = 0;
  uint64_t number = 0;  // of the gang: its id may be another's later
  int64_t done = 0;     // work behind it. Units: 1/1000 s at full share
  Outcome outcome;
};

class Engine {
 public:
  explicit Engine(const Scenario& scenario)
      : scenario_(scenario),
        options_(scenario.options),
        workload_(&snapshot_),
        history_(scenario.half_life_s, scenario.k_permille),
        tracks_(scenario.jobs.size()) {}

  Result<ScenarioResult> Run() {
    FLEXAI_RETURN_IF_ERROR(Build());
    FLEXAI_RETURN_IF_ERROR(PlaceRunning());
    CollectTimes();
    for (now_s_ = 0;; now_s_ = Next()) {
      EndJobs();
      Happen();
      Arrive();
      Round();
      if (Next() == kNever) break;
    }
    return std::move(result_);
  }

 private:
  Status Build() {
    std::vector<Request> seen;
    std::vector<Node> nodes;
    for (const Board& board : scenario_.boards) snapshot_.AddBoard(board);
    for (const ScenarioNode& node : scenario_.nodes) {
      const Result<NodeId> added = snapshot_.AddNode(node.node);
      if (!added.ok()) return added.status();
    }
    for (const ScenarioQueue& queue : scenario_.queues) {
      const Result<QueueId> added = snapshot_.mutable_queues()->Add(queue.queue);
      if (!added.ok()) return added.status();
    }
    for (const ScenarioJob& job : scenario_.jobs) {
      for (const Part& part : job.gang.parts) seen.insert(seen.end(), part.tasks, part.request);
    }
    typical_ = TypicalJobs(seen);
    fragmentation_.emplace(typical_);
    options_.usual = &*fragmentation_;
    Result<std::unique_ptr<Placer>> placer =
        MakePlacer(scenario_.policy, {&snapshot_, &*fragmentation_, typical_, 0,
                                      &scenario_.interference, &scenario_.options.links});
    if (!placer.ok()) return placer.status();
    placer_ = *std::move(placer);
    return Status();
  }

  Status Admit(size_t index) {
    Track& track = tracks_[index];
    Gang gang = scenario_.jobs[index].gang;
    if (gang.estimate_s == 0)
      gang.estimate_s = run_times_.Estimate(RunKindOf(gang), kEstimatePermille);
    const Result<GangId> id = workload_.Add(std::move(gang));
    if (!id.ok()) return id.status();
    track.arrived = true;
    track.gang = *id;
    track.number = workload_.number(*id);
    job_of_.resize(workload_.size());
    job_of_[*id] = index;
    return Status();
  }

  Status PlaceRunning() {
    for (size_t i = 0; i < tracks_.size(); ++i) {
      const ScenarioJob& job = scenario_.jobs[i];
      if (job.on.empty()) continue;
      FLEXAI_RETURN_IF_ERROR(Admit(i));
      size_t next = 0;
      Status status;
      workload_.ForEachTask(tracks_[i].gang, [&](JobId task) {
        if (next == job.on.size() || !status.ok()) return;
        status = snapshot_.Place(task, job.on[next++]);
      });
      if (!status.ok() || next < job.on.size() || !workload_.Running(tracks_[i].gang)) {
        return Status(Code::kInvalidArgument,
                      "job '" + job.name + "' cannot run where 'on' puts it",
                      "one 'on' for each task, with cards that are free there");
      }
      workload_.SetStarted(tracks_[i].gang, job.started_s);
      tracks_[i].done = -job.started_s * 1000;
      tracks_[i].outcome.started_s = job.started_s;
    }
    return Status();
  }

  void CollectTimes() {
    times_.insert(scenario_.until_s);
    for (const ScenarioJob& job : scenario_.jobs) times_.insert(job.gang.arrived_s);
    for (const ScenarioEvent& event : scenario_.events) times_.insert(event.at_s);
    for (const Expectation& expect : scenario_.expectations) {
      if (expect.at_s >= 0) times_.insert(expect.at_s);
    }
    for (const int64_t every_s : {scenario_.every_s, options_.defragment_every_s}) {
      for (int64_t at = 0; every_s > 0 && at <= scenario_.until_s; at += every_s) times_.insert(at);
    }
  }

  bool Gone(const Track& track) const { return !workload_.Here(track.gang, track.number); }

  // Of a job whose cards are on another node. Units: millionths.
  int64_t SlowdownOf(JobId job) const {
    const Placement place = snapshot_.placement(job);
    if (place.host == kSameNode) return 0;
    const RemoteLinks& links = scenario_.options.links;
    const Node &host = snapshot_.empty(place.host), &cards = snapshot_.empty(place.node);
    const RemoteLink& link = host.block != cards.block ? links.anywhere
                             : host.rack != cards.rack ? links.block
                                                       : links.rack;
    return RemoteSlowdown(workload_.part(job).remote, link);
  }

  // Work per second. Units: 1/1000 of what it does with all it asked for.
  int64_t Speed(GangId id) const {
    if (!workload_.Running(id)) return 0;
    int64_t speed = 1000;
    workload_.ForEachTask(id, [&](JobId job) {
      const Milli asked = workload_.asked(job).share;
      if (!snapshot_.placed(job) || asked == 0) return;
      const int64_t slowdown = SlowdownOf(job);
      speed = std::min(speed, int64_t{snapshot_.request(job).share} * 1000 / asked * 1'000'000 /
                                  (1'000'000 + slowdown));
    });
    return speed;
  }

  int64_t EndOf(size_t index) const {
    const Track& track = tracks_[index];
    const ScenarioJob& job = scenario_.jobs[index];
    if (!track.arrived || Gone(track) || job.runs_s == 0) return kNever;
    const int64_t speed = Speed(track.gang);
    if (speed == 0) return kNever;
    const int64_t rest = std::max<int64_t>(0, job.runs_s * 1000 - track.done);
    return now_s_ + (rest + speed - 1) / speed;
  }

  int64_t Next() const {
    int64_t next = kNever;
    const auto listed = times_.upper_bound(now_s_);
    if (listed != times_.end()) next = *listed;
    for (size_t i = 0; i < tracks_.size(); ++i) {
      const int64_t end = EndOf(i);
      if (end > now_s_) next = std::min(next, end);
    }
    return next;
  }

  // Brings everybody's work up to now; those who have done theirs leave.
  void EndJobs() {
    const int64_t elapsed = now_s_ - worked_until_s_;
    worked_until_s_ = now_s_;
    history_.Advance(snapshot_.queues(), all_cards_, now_s_);
    for (size_t i = 0; i < tracks_.size(); ++i) {
      Track& track = tracks_[i];
      if (!track.arrived || Gone(track)) continue;
      track.done += elapsed * Speed(track.gang);
      const ScenarioJob& job = scenario_.jobs[i];
      if (job.runs_s > 0 && track.done >= job.runs_s * 1000 && workload_.Running(track.gang)) {
        run_times_.Learn(RunKindOf(job.gang), now_s_ - track.outcome.started_s);
        End(i);
      }
    }
  }

  void End(size_t index) {
    Track& track = tracks_[index];
    if (!track.arrived || Gone(track)) return;
    workload_.Leave(track.gang);
    track.outcome.ended_s = now_s_;
  }

  void SetIdle(size_t index, bool idle) {
    const Track& track = tracks_[index];
    if (!track.arrived || Gone(track)) return;
    workload_.ForEachTask(track.gang, [&](JobId job) { workload_.SetIdle(job, idle); });
  }

  void Arrive() {
    for (size_t i = 0; i < tracks_.size(); ++i) {
      if (tracks_[i].arrived || scenario_.jobs[i].gang.arrived_s > now_s_) continue;
      // What the reader took is a gang: nothing is left to be refused.
      (void)Admit(i);
    }
  }

  void LoseNode(NodeId node, CardSet cards) {
    for (const GangId id : std::vector<GangId>(workload_.active())) {
      bool hit = false;
      workload_.ForEachTask(id, [&](JobId job) {
        if (!snapshot_.placed(job)) return;
        const Placement place = snapshot_.placement(job);
        if (place.host == node && cards == ~CardSet{0}) hit = true;
        hit = hit || (place.node == node && (cards == ~CardSet{0} || (place.cards & cards) != 0));
      });
      if (!hit) continue;
      Track& track = tracks_[job_of_[id]];
      LoseWork(job_of_[id]);
      ++track.outcome.evictions;
      ++result_.evictions;
      workload_.Requeue(id);
    }
  }

  void LoseWork(size_t index) {
    Track& track = tracks_[index];
    const int64_t lost = scenario_.options.restart_s * 1000;
    const bool kept = scenario_.jobs[index].gang.checkpointable;
    track.done = kept ? std::max<int64_t>(0, track.done - lost) : 0;
  }

  void Happen() {
    using What = ScenarioEvent::What;
    for (const ScenarioEvent& event : scenario_.events) {
      if (event.at_s != now_s_) continue;
      switch (event.what) {
        case What::kFailNode:
          snapshot_.SetHealth(event.index, false, snapshot_.usable(event.index));
          LoseNode(event.index, ~CardSet{0});
          break;
        case What::kFailCard: {
          const CardSet card = CardSet{1} << event.card;
          snapshot_.SetHealth(event.index, snapshot_.open(event.index),
                              snapshot_.usable(event.index) & ~card);
          LoseNode(event.index, card);
          break;
        }
        case What::kHeal:
          snapshot_.SetHealth(event.index, true, ~CardSet{0});
          break;
        case What::kDrain:
          snapshot_.SetHealth(event.index, false, snapshot_.usable(event.index));
          break;
        case What::kLeave:
          End(event.index);
          break;
        case What::kIdle:
        case What::kBusy:
          SetIdle(event.index, event.what == What::kIdle);
          break;
        case What::kQueue:
          (void)snapshot_.mutable_queues()->Change(event.index, event.queue);
          break;
      }
    }
  }

  void Round() {
    ++result_.rounds;
    Session session(&snapshot_, &workload_, placer_.get(), &history_, options_, now_s_);
    all_cards_ = session.all_cards();
    RunCycle(&session);
    std::set<GangId> evicted, ended, moved, suspended;
    for (const Decision& decision : session.decisions()) {
      const GangId gang = workload_.gang(decision.job);
      Outcome& outcome = tracks_[job_of_[gang]].outcome;
      if (decision.act == Act::kStart && workload_.started_s(gang) == now_s_) {
        outcome.started_s = now_s_;
      }
      if (decision.act == Act::kEvict && evicted.insert(gang).second) ++outcome.evictions;
      if (decision.ends) ended.insert(gang);
      if (decision.act == Act::kSuspend && suspended.insert(gang).second) ++outcome.suspensions;
      if (decision.act == Act::kMove) {
        ++outcome.moves;
        ++result_.moves;
        moved.insert(gang);
      }
    }
    for (const GangId gang : ended) LoseWork(job_of_[gang]);
    for (const GangId gang : moved) LoseWork(job_of_[gang]);
    result_.evictions += static_cast<int64_t>(evicted.size());
    result_.suspensions += static_cast<int64_t>(suspended.size());
    Describe(session);
    const bool last = Next() == kNever;
    for (const Expectation& expect : scenario_.expectations) {
      if (expect.at_s != now_s_ && !(last && expect.at_s < 0)) continue;
      CheckExpectation({&scenario_, &session, &result_}, expect, &result_.missed);
    }
  }

  void Describe(const Session& session) {
    const Names names{
        .node = [this](NodeId id) { return scenario_.nodes[id].name; },
        .model = [this](uint32_t id) { return scenario_.models[id]; },
        .queue =
            [this](QueueId id) { return id == kRoot ? "root" : scenario_.queues[id - 1].name; },
        .gang = [this](GangId id) { return scenario_.jobs[job_of_[id]].name; }};
    result_.ended_at_s = now_s_;
    result_.jobs.clear();
    for (Track& track : tracks_) {
      Outcome& outcome = track.outcome;
      outcome.places.clear();
      outcome.why = {};
      outcome.share = 0;
      outcome.state = "WAITING";
      if (track.arrived && Gone(track)) {
        outcome.state = "DONE";
      } else if (track.arrived) {
        workload_.ForEachTask(track.gang, [&](JobId job) {
          if (!snapshot_.placed(job)) return;
          if (outcome.places.empty()) outcome.share = snapshot_.request(job).share;
          outcome.places.push_back(snapshot_.placement(job));
        });
        if (workload_.Running(track.gang)) {
          outcome.state = "RUNNING";
        } else {
          outcome.why = Explain(session, track.gang, names);
        }
      }
      result_.jobs.push_back(outcome);
    }
  }

  const Scenario& scenario_;
  Options options_;
  Snapshot snapshot_;
  Workload workload_;
  UsageHistory history_;
  RunTimes run_times_;
  std::vector<TypicalJob> typical_;
  std::optional<Fragmentation> fragmentation_;
  std::unique_ptr<Placer> placer_;
  std::vector<Track> tracks_;
  std::vector<size_t> job_of_;  // of each gang
  std::set<int64_t> times_;
  int64_t now_s_ = 0, worked_until_s_ = 0, all_cards_ = 0;
  ScenarioResult result_;
};

}  // namespace

Result<ScenarioResult> RunScenario(const Scenario& scenario) { return Engine(scenario).Run(); }

}  // namespace flexai::schedule::sim
