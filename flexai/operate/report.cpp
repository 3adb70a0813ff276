// What the daemon tells of itself, its cards and its slices: the one place where fields get their
// names (docs/reference/json-fields.md).
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include "flexai/operate/daemon.h"
#include "flexai/operate/json_text.h"

namespace flexai::operate {
namespace {

using nlohmann::json;

std::string UserName(uid_t uid) {
  passwd entry;
  passwd* found = nullptr;
  char text[4096];
  if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found) return found->pw_name;
  return std::to_string(uid);
}

double Seconds(Nanos time) { return static_cast<double>(time) / kSecond; }

const char* LeverName(const SliceRecord& slice) {
  for (const auto& process : slice.processes) {
    const uint32_t lever = slice.region.get()->slots[process->slot].lever.load();
    if (lever == 2) return "freeze";
    if (lever == 1) return "gate";
  }
  return "none";
}

const char* State(const SliceRecord& slice) {
  if (slice.paused) return "paused";
  if (slice.processes.empty()) return "starting";
  if (!slice.busy) return "idle";
  return slice.account.run ? "running" : "held";
}

}  // namespace

// What people asked about is a slice; of several cards it is told for each.
json Daemon::DescribeSlice(const Parts& parts) const {
  json whole = DescribePart(*parts.front());
  if (parts.size() == 1) return whole;
  json all = json::array();
  for (const SliceRecord* part : parts) all.push_back(DescribePart(*part));
  whole["parts"] = all;
  return whole;
}

json Daemon::DescribePart(const SliceRecord& slice) const {
  json processes = json::array();
  json warnings = json::array();
  uint64_t refused = slice.refused_by_the_gone;
  for (const auto& process : slice.processes) {
    const slice::ProcessSlot& slot = slice.region.get()->slots[process->slot];
    refused += slot.refused.load();
    processes.push_back({{"pid", process->pid},
                         {"memory_used_bytes", slice::HeldBytes(slot)},
                         {"memory_booked_bytes", slot.booked.load()},
                         {"workers", slice.region.get()->slots[process->slot].workers.load()}});
    if (!process->warning.empty()) warnings.push_back(process->warning);
  }
  if (!slice.bypass_warning.empty()) warnings.push_back(slice.bypass_warning);
  if (!slice.fence_note.empty()) warnings.push_back(slice.fence_note);
  return {{"slice", slice.slice},
          {"cards", slice.spec.cards},
          {"part", slice.part},
          {"card", slice.spec.card},
          {"backend", cards_[slice.card].backend},
          {"card_uuid", cards_[slice.card].uuid},
          {"owner", UserName(slice.owner)},
          {"owner_uid", slice.owner},
          {"command", slice.command},
          {"leader_pid", slice.leader},
          {"share_permille", slice.spec.share},
          {"limit_permille", slice.spec.limit},
          {"priority", model::PriorityName(slice.spec.priority)},
          {"state", State(slice)},
          {"lever", LeverName(slice)},
          {"memory_limit_bytes", slice.spec.memory},
          {"memory_used_bytes", slice.used_bytes()},
          {"memory_peak_bytes", slice.header().memory_peak.load()},
          {"compute_received_ratio", slice.received_ratio},
          {"compute_received_seconds", Seconds(slice.account.received)},
          {"throttled_seconds", Seconds(slice.account.throttled)},
          {"refused_allocations", refused},
          {"age_seconds", Seconds(MonotonicNow() - slice.created)},
          {"processes", processes},
          {"warnings", warnings}};
}

// A trace tells of changes: of a card at rest it tells nothing.
bool Daemon::TracedLately(const std::string& uuid) const {
  const auto found = traced_at_.find(uuid);
  return found != traced_at_.end() && MonotonicNow() - found->second < 10 * kSecond;
}

json Daemon::DescribeCard(size_t card) const {
  const model::Card& c = cards_[card];
  uint64_t used = 0;
  size_t count = 0;
  double received = 0;
  // What works is known once a program uses it.
  std::string lever = c.kind == "cpu" ? "freeze" : "none";
  if (levers_.dropped(card) & device::kStopLever) lever = "gate";
  for (const auto& [id, slice] : slices_) {
    if (slice->card != card) continue;
    if (const std::string seen = LeverName(*slice); seen != "none") lever = seen;
    used += slice->used_bytes();
    received += slice->received_ratio;
    ++count;
  }
  const auto watch = meter_.watches().find(c.uuid);
  json trace_refused = watch == meter_.watches().end() ? json() : json(watch->second);
  if (RecordDropped(c.uuid))
    trace_refused = "the probe found that the driver's record does not hold";
  return {{"card", c.id},
          {"backend", c.backend},
          {"kind", c.kind},
          {"vendor", c.vendor},
          {"model", c.model},
          {"driver", c.driver},
          {"driver_tried", c.tried_driver},
          {"uuid", c.uuid},
          {"compute_units", c.compute_units},
          {"memory_total_bytes", c.memory_bytes},
          {"memory_granted_bytes", GrantedMemory(card, nullptr)},
          {"memory_used_bytes", used},
          {"share_granted_permille", GrantedShare(card, nullptr)},
          {"compute_received_ratio", received},
          {"slices", count},
          {"lever", lever},
          {"levers", levers_.Describe(card)},
          {"received_by", TracedLately(c.uuid) ? "trace" : "residence"},
          {"trace_refused", trace_refused}};
}

json Daemon::Report() const {
  json cards = json::array(), slices = json::array(), waiting = json::array();
  json warnings = json::array(), unshared = json::array();
  for (const model::Unshared& one : options_.unshared) {
    unshared.push_back({{"uuid", one.uuid}, {"why", one.why}, {"cure", one.cure}});
  }
  for (size_t card = 0; card < cards_.size(); ++card) {
    cards.push_back(DescribeCard(card));
    if (GrantedShare(card, nullptr) > model::kWholeCard) {
      warnings.push_back("card " + cards_[card].id + " is promised " +
                         model::FormatPercent(GrantedShare(card, nullptr)) +
                         ": slices of an earlier daemon came back after new ones were granted");
    }
  }
  for (const auto& [id, slice] : slices_) {
    slices.push_back(DescribePart(*slice));
  }
  for (const Waiting& w : waiting_) {
    waiting.push_back({{"position", waiting.size() + 1},
                       {"reason", w.reason},
                       {"command", w.command},
                       {"cards", w.spec.cards},
                       {"share_permille", w.spec.share},
                       {"memory_limit_bytes", w.spec.memory}});
  }
  return {{"version", options_.version},
          {"protocol", slice::kProtocolVersion},
          {"daemon_pid", getpid()},
          {"socket", options_.address},
          {"cards", cards},
          {"unshared", unshared},
          {"slices", slices},
          {"waiting", waiting},
          {"warnings", warnings}};
}

void Daemon::WriteReport(const Parts& parts) const {
  const SliceRecord& first = *parts.front();
  if (first.report_fd < 0) return;
  json report = DescribeSlice(parts);
  const double age = Seconds(MonotonicNow() - first.created);
  const auto end = [&](json& entry, const SliceRecord& part) {
    entry["state"] = "ended";
    entry["duration_seconds"] = age;
    entry["compute_received_ratio"] = age > 0 ? Seconds(part.account.received) / age : 0;
  };
  end(report, first);
  for (size_t i = 0; report.contains("parts") && i < parts.size(); ++i) {
    end(report["parts"][i], *parts[i]);
  }
  const std::string text = JsonText(report, 2) + "\n";
  [[maybe_unused]] const ssize_t written = write(first.report_fd, text.data(), text.size());
}

}  // namespace flexai::operate
