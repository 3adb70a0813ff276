// A slice as the daemon holds it: its promise, its region, its processes, and what it received.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flexai/model/slice_spec.h"
#include "flexai/operate/fence.h"
#include "flexai/operate/idle_gaps.h"
#include "flexai/operate/received.h"
#include "flexai/operate/worker_meter.h"
#include "flexai/slice/arbiter.h"
#include "flexai/slice/queue_watch.h"
#include "flexai/slice/region.h"

namespace flexai::operate {

/// The name by which drivers' worker threads are told from others; the libraries set it.
inline constexpr char kWorkerThreadName[] = "flexai-worker";

/// One process attached to a slice.
struct Process {
  Process(pid_t in_pid, uint32_t in_slot, int in_connection)
      : pid(in_pid), slot(in_slot), connection(in_connection), meter(in_pid) {}
  pid_t pid;
  uint32_t slot;
  int connection;  // its socket: closing it is the notice of its death
  int pidfd = -1;
  uint32_t known_workers = 0;
  WorkerMeter meter;
  Nanos time_when_held = -1;  // workers' time soon after the hold; -1 = not read yet
  std::string warning;
  uint64_t asked_used = 0;        // what it was granted when the driver was asked
  uint64_t asked_granted = 0;     // and what it had ever been granted
  uint32_t asked_unforeseen = 0;  // the same of what nobody had asked for
  bool was_asked = false;
  bool has_context = false;  // it had made one, for certain, when the question left
  uint32_t measured = 0;     // answers since then that showed more than what it was granted
  bool shown = false;        // the driver has named it once
};

/// The daemon's name for what a slice has of one of its `cards`, from 0.
std::string PartId(const std::string& slice, int part, int cards);

/// A slice; of one of several cards: what it has of one of them.
class SliceRecord {
 public:
  SliceRecord(const std::string& in_slice, int in_part, int cards, uint64_t in_number)
      : id(PartId(in_slice, in_part, cards)),
        slice(in_slice),
        part(in_part),
        number(in_number),
        gang(cards > 1 ? in_number : 0) {}
  ~SliceRecord();
  SliceRecord(const SliceRecord&) = delete;
  SliceRecord& operator=(const SliceRecord&) = delete;

  slice::RegionHeader& header() { return region->header; }
  const slice::RegionHeader& header() const { return region.get()->header; }

  /// Copies spec and state into the region, where the tenant's processes read them; and what is
  /// known of its card.
  void Publish(const std::string& card_uuid, uint64_t context_bytes);
  /// Whether its processes had work since the last call. `now` dates what is seen.
  bool Busy(Nanos now);
  /// Puts the arbiter's word into the region, and wakes the agents if it changed. `handed_over`:
  /// the card goes from one tenant to another, so both are late by the same time, and it cancels
  /// out.
  void SetRun(bool run, bool handed_over, Nanos now);
  /// A turn during which another tenant may get in the way. `others`: the time on cores so far of
  /// all processes of the card's other tenants. Where the card is the host's cores, what they do
  /// for themselves while this tenant has the card, and its workers wait, is taken from its turn.
  void BeginTurn(Nanos others);
  void EndTurn(Nanos others, int cores);
  /// Card time by which this tenant received more (a late hold) or less (a late start, a core taken
  /// by others) than it had its turn. A hold or start is told once all agents have obeyed it.
  Nanos TakeCorrection();
  /// Compares workers' time while they are held: names processes that do not stop.
  void CheckObedience(Nanos now);
  /// Clears what a process left in a slot.
  void ClearSlot(uint32_t slot);
  /// The same for an attached process, which is forgotten.
  void ForgetProcess(size_t index);
  /// Once a second or later: the ratio received since the last time.
  void Sample(Nanos now);

  /// Time on cores of all its processes so far.
  Nanos ProcessTime() const;

  uint64_t used_bytes() const { return slice::UsedBytes(*region.get()); }

  std::string id;     // the daemon's name for it
  std::string slice;  // as people know it
  int part;           // which of its cards, from 0
  uint64_t number;    // the arbiter's name for it
  uint64_t gang;      // the same for all cards of a slice; 0 = it has one
  model::SliceSpec spec;
  size_t card = 0;
  uid_t owner = 0;
  pid_t leader = 0;
  int leader_pidfd = -1;
  bool leader_alive = false;
  bool paused = false;
  std::string command;
  int report_fd = -1;
  Nanos created = 0;
  Nanos sweep_at = 0;  // when slots of silent processes are looked at again; 0 = never
  slice::RegionMap region;
  std::vector<std::unique_ptr<Process>> processes;
  std::map<pid_t, std::string>
      unattached;  // processes that use a driver on their own, as seen last
  std::string bypass_warning;
  std::unique_ptr<Fence> fence;  // none until somebody cannot be held
  std::string fence_note;
  slice::ArbiterAccount account;
  Received received;          // compares the account with a trace of the card, where there is one
  Nanos trace_corrected = 0;  // of account.received
  uint64_t refused_by_the_gone = 0;
  Nanos rested = 0;  // idle while nobody works: the trace may show it as on the card
  double received_ratio = 0;
  bool busy = false;

  bool running() const { return run_; }
  /// Whether its processes tell when their queues are empty; then a look at them costs next to
  /// nothing, and the card can be given on at once.
  bool tells() const { return tells_; }
  /// `below` another tenant of higher priority on its card, `above` one of lower: the card leaves
  /// the one soon and stays with the other, also before the arbiter hears of new work.
  void Rank(bool below, bool above);
  bool below() const { return below_; }

 private:
  bool Active();
  bool Queued(Nanos now);
  bool Tells() const;
  Nanos TakeLateness();
  Nanos Waited();

  bool run_ = true;
  bool tells_ = false;
  bool below_ = false;
  IdleGaps gaps_;
  Nanos active_at_ = 0;
  Nanos changed_at_ = 0;
  bool lateness_told_ = true;
  bool in_turn_ = false;
  Nanos others_at_begin_ = 0;
  Nanos waited_at_begin_ = 0;
  Nanos lost_ = 0;  // of turns that have ended, not told yet
  uint64_t seen_launches_ = 0;
  Nanos sampled_at_ = 0;
  Nanos sampled_received_ = 0;
};

}  // namespace flexai::operate
