#include "flexai/schedule/sim/expect.h"

#include <algorithm>
#include <set>

namespace flexai::schedule::sim {
namespace {

class Check {
 public:
  Check(const Scene& scene, const Expectation& expect, std::vector<Miss>* missed)
      : scene_(scene), expect_(expect), missed_(missed) {}

  void OfJob(uint32_t index) {
    const Outcome& job = scene_.result->jobs[index];
    what_ = "job '" + scene_.scenario->jobs[index].name + "'";
    if (!expect_.state.empty() && expect_.state != job.state) {
      Miss("is " + job.state + ", not " + expect_.state + Why(job));
    }
    Number("tasks", expect_.tasks, static_cast<int64_t>(job.places.size()));
    Number("a share in thousandths", expect_.share, job.share);
    Number("started_s", expect_.started_s, job.started_s);
    Number("ended_s", expect_.ended_s, job.ended_s);
    Number("evictions", expect_.evictions, job.evictions);
    Number("moves", expect_.moves, job.moves);
    Number("suspensions", expect_.suspensions, job.suspensions);
    Places(job);
    if (!expect_.code.empty() && expect_.code != job.why.code) {
      Miss("has the code '" + job.why.code + "', not '" + expect_.code + "'" + Why(job));
    }
    for (const std::string& part : expect_.says) {
      if (!Says(job.why, part)) Miss("does not say '" + part + "'" + Why(job));
    }
  }

  void OfQueue(uint32_t index) {
    what_ = "queue '" + scene_.scenario->queues[index - 1].name + "'";
    Number("used milli-cards", expect_.used,
           scene_.session->snapshot().queues().used(index)[kCards]);
    Number("due milli-cards", expect_.due, scene_.session->due(index));
  }

  void OfCluster() {
    what_ = "the cluster";
    Number("evictions", expect_.evictions, scene_.result->evictions);
    Number("moves", expect_.moves, scene_.result->moves);
    Number("suspensions", expect_.suspensions, scene_.result->suspensions);
  }

 private:
  void Miss(const std::string& reason) {
    missed_->push_back({expect_.line, what_ + " " + reason + " at " +
                                          std::to_string(scene_.session->now_s()) + " s"});
  }

  void Number(const std::string& name, const std::optional<int64_t>& wanted, int64_t found) {
    if (wanted && *wanted != found) {
      Miss("has " + name + " " + std::to_string(found) + ", not " + std::to_string(*wanted));
    }
  }

  void Places(const Outcome& job) {
    std::set<std::string> wanted(expect_.nodes.begin(), expect_.nodes.end()), found;
    std::set<uint32_t> racks, blocks;
    for (const Placement& place : job.places) {
      const ScenarioNode& node = scene_.scenario->nodes[place.node];
      found.insert(node.name);
      racks.insert(node.node.rack);
      blocks.insert(node.node.block);
    }
    std::string names;
    for (const std::string& name : found) names += (names.empty() ? "" : ", ") + name;
    if (!wanted.empty() && wanted != found) Miss("is on " + (names.empty() ? "no node" : names));
    if (expect_.cards && (job.places.empty() || job.places[0].cards != *expect_.cards)) {
      std::string cards;
      for (uint32_t i = 0; !job.places.empty() && i < kMostCards; ++i) {
        if ((job.places[0].cards >> i & 1) != 0)
          cards += (cards.empty() ? "" : ",") + std::to_string(i);
      }
      Miss("has the cards '" + cards + "' of " + names);
    }
    if (!expect_.host.empty()) {
      const NodeId host = job.places.empty() ? kSameNode : job.places[0].host;
      const std::string found_host =
          host == kSameNode ? "its own node" : scene_.scenario->nodes[host].name;
      if (found_host != expect_.host) Miss("has its CPU on " + found_host);
    }
    const size_t groups = expect_.together == "NODE"    ? found.size()
                          : expect_.together == "RACK"  ? racks.size()
                          : expect_.together == "BLOCK" ? blocks.size()
                                                        : 1;
    if (groups != 1) Miss("is not together in one " + expect_.together + ", but on " + names);
  }

  static bool Says(const Explanation& why, const std::string& part) {
    const auto holds = [&part](const std::string& text) {
      return text.find(part) != std::string::npos;
    };
    return holds(why.sentence) || holds(why.remedy) ||
           std::any_of(why.cards.begin(), why.cards.end(), holds);
  }

  static std::string Why(const Outcome& job) {
    if (job.why.sentence.empty()) return "";
    std::string text = " (" + job.why.code + ": " + job.why.sentence + " | " + job.why.remedy;
    for (const std::string& line : job.why.cards) text += " | " + line;
    return text + ")";
  }

  const Scene& scene_;
  const Expectation& expect_;
  std::vector<sim::Miss>* missed_;
  std::string what_;
};

}  // namespace

void CheckExpectation(const Scene& scene, const Expectation& expect, std::vector<Miss>* missed) {
  Check check(scene, expect, missed);
  if (expect.job) {
    check.OfJob(*expect.job);
  } else if (expect.queue) {
    check.OfQueue(*expect.queue);
  } else {
    check.OfCluster();
  }
}

}  // namespace flexai::schedule::sim
