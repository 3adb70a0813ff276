// Processes come and go: who belongs to which slice, and when a slice is over.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "flexai/base/log.h"
#include "flexai/operate/daemon.h"
#include "flexai/operate/pidfd.h"

namespace flexai::operate {
namespace {

// After a start, slices of the last daemon announce themselves with their regions first; only then
// may a newcomer open a fresh region for a slice that is not known.
constexpr Nanos kAdoptionTime = kSecond;

ino_t Inode(int fd) {
  struct stat info = {};
  return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

// The number of a slot's owner: when it came, in ms since the machine's start, and who it is. So it
// is never used again, and a daemon's successor can tell the dead from those who are only silent.
constexpr int kPidBits = 22;

uint64_t OwnerNumber(pid_t pid) {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ms = static_cast<uint64_t>(now.tv_sec * 1000 + now.tv_nsec / kMillisecond);
  return (ms << kPidBits) | (static_cast<uint64_t>(pid) & ((1u << kPidBits) - 1));
}

// Whether the process that `owner` names still lives: the pid may be another's by now.
bool OwnerLives(uint64_t owner) {
  const std::string path = "/proc/" + std::to_string(owner & ((1u << kPidBits) - 1)) + "/stat";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[1024];
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  text[std::max<ssize_t>(got, 0)] = '\0';
  // Behind the name come the state and 18 numbers, then the start, in ticks since the machine's.
  const char* at = strrchr(text, ')');
  if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return false;
  for (int field = 0; field < 20 && at; ++field) at = strchr(at + 1, ' ');
  if (!at) return false;
  const uint64_t ticks = strtoull(at, nullptr, 10);
  return ticks * 1000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)) <= owner >> kPidBits;
}

bool IsText(const char* text, size_t size) { return memchr(text, '\0', size) != nullptr; }

}  // namespace

int OpenPidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0u)); }

void Daemon::OnAttach(Connection& peer, const slice::Frame& frame) {
  slice::AttachReply reply = {};
  const auto answer = [&](const Status& status, int fd) {
    reply.code = static_cast<int32_t>(status.code());
    strncpy(reply.message, std::string(status.message()).c_str(), sizeof(reply.message) - 1);
    strncpy(reply.hint, std::string(status.hint()).c_str(), sizeof(reply.hint) - 1);
    peer.Send(slice::FrameType::kAttached, &reply, sizeof(reply), fd);
  };
  slice::AttachRequest request;
  if (frame.data.size() != sizeof(request)) {
    return answer(Status(Code::kFailedPrecondition, "the library is of another version",
                         "use the library and the daemon of one release"),
                  -1);
  }
  memcpy(&request, frame.data.data(), sizeof(request));
  if (!IsText(request.slice, sizeof(request.slice)) || request.cards < 1 ||
      request.cards > model::kMostCards || request.part < 0 || request.part >= request.cards) {
    return answer(
        Status(Code::kInvalidArgument, "the slice's id is no text, or it has no such card"), -1);
  }
  if (request.region_version != slice::kRegionVersion) {
    return answer(
        Status(Code::kFailedPrecondition,
               "the library speaks region version " + std::to_string(request.region_version) +
                   ", the daemon " + std::to_string(slice::kRegionVersion),
               "use the library and the daemon of one release"),
        -1);
  }
  if (Attached(peer.fd())) {
    // The end of its connection is how a process's death is told: one connection for each.
    return answer(Status(Code::kAlreadyExists, "this connection holds a slot already"), -1);
  }
  Result<SliceRecord*> found = FindForAttach(peer, request, frame.fd);
  if (!found.ok()) return answer(found.status(), -1);
  SliceRecord& slice = **found;
  Result<uint32_t> slot = TakeSlot(slice, peer.pid(), request);
  if (!slot.ok()) return answer(slot.status(), -1);
  reply.slot = static_cast<int32_t>(*slot);
  reply.owner = slice.region->slots[*slot].owner;
  auto process = std::make_unique<Process>(peer.pid(), *slot, peer.fd());
  process->pidfd = OpenPidfd(peer.pid());
  if (process->pidfd >= 0) Watch(process->pidfd);
  slice.processes.push_back(std::move(process));
  slice.received.Rebase();
  if (slice.sweep_at != 0) SweepSlots(slice, MonotonicNow());
  answer(Status(), request.slot >= 0 ? -1 : slice.region.fd());
}

bool Daemon::Attached(int connection) const {
  for (const auto& [id, slice] : slices_) {
    for (const auto& process : slice->processes) {
      if (process->connection == connection) return true;
    }
  }
  return false;
}

Result<SliceRecord*> Daemon::FindForAttach(const Connection& peer,
                                           const slice::AttachRequest& request, int region_fd) {
  const auto known = slices_.find(PartId(request.slice, request.part, request.cards));
  if (known == slices_.end()) return Adopt(peer, request, region_fd);
  SliceRecord& slice = *known->second;
  if (peer.uid() != slice.owner && peer.uid() != 0) {
    return Status(Code::kPermissionDenied,
                  "slice " + slice.slice + " belongs to user " + std::to_string(slice.owner),
                  "start the program with flexai run under the user that it shall run as");
  }
  if (request.slot >= 0 && (region_fd < 0 || Inode(region_fd) != Inode(slice.region.fd()))) {
    return Status(Code::kAborted,
                  "slice " + slice.slice + " has a new region since the daemon changed",
                  "start the program again");
  }
  return &slice;
}

// A slice of the daemon before us, or one whose first process starts only now.
Result<SliceRecord*> Daemon::Adopt(const Connection& peer, const slice::AttachRequest& request,
                                   int region_fd) {
  const Nanos now = MonotonicNow();
  slice::RegionMap region;
  if (request.slot >= 0 && region_fd >= 0) {
    auto opened = slice::RegionMap::Open(dup(region_fd));
    if (!opened.ok()) return opened.status();
    region = std::move(opened).value();
    if (region->header.owner_uid != peer.uid() && peer.uid() != 0) {
      return Status(Code::kPermissionDenied, "the region belongs to another user");
    }
    if (request.slot >= static_cast<int32_t>(slice::kMaxProcesses) ||
        region->slots[request.slot].owner != request.owner) {
      return Status(Code::kAborted, "the slot of the region belongs to another process");
    }
  } else if (now - started_ < kAdoptionTime) {
    return Status(Code::kUnavailable, "the daemon has just started and collects its slices");
  } else {
    auto made = slice::RegionMap::Create(request.slice);
    if (!made.ok()) return made.status();
    region = std::move(made).value();
  }
  model::SliceSpec spec;
  const bool old = request.slot >= 0;
  slice::RegionHeader& h = region->header;
  spec.share = old ? h.share.load() : request.share;
  spec.limit = old ? h.limit.load() : request.limit;
  spec.memory = old ? h.memory_limit.load() : request.memory;
  spec.priority = static_cast<model::Priority>(
      std::min<uint32_t>(old ? h.priority.load() : request.priority, 2));
  spec.card = old ? std::string(h.card, strnlen(h.card, sizeof(h.card))) : "auto";
  const Parts others = PartsOf(request.slice);
  FLEXAI_RETURN_IF_ERROR(model::CheckSpec(spec));
  if (cards_.empty()) return Status(Code::kNotFound, "the daemon has no card");
  size_t card = 0;
  while (card + 1 < cards_.size() && cards_[card].id != spec.card) ++card;
  if (!old) {
    const Result<std::vector<size_t>> picked = PickCards(spec, others);
    if (!picked.ok()) return picked.status();
    card = picked->front();
  } else if (spec.share > model::kWholeCard - GrantedShare(card, nullptr)) {
    // It was silent for so long that others have its room, or the page lies.
    return Status(Code::kResourceExhausted, "card " + cards_[card].id + " has no room any more");
  }
  for (const SliceRecord* other : others) {
    if (other->owner != (old ? h.owner_uid : peer.uid())) {
      return Status(Code::kPermissionDenied, "the slice belongs to another user");
    }
    if (other->spec.cards != request.cards || other->card == card) {
      return Status(Code::kAborted, "the card does not fit the slice's others");
    }
  }
  auto slice =
      std::make_unique<SliceRecord>(request.slice, request.part, request.cards, next_number_++);
  if (!others.empty()) slice->gang = others.front()->gang;
  slice->spec = spec;
  slice->spec.card = cards_[card].id;
  slice->spec.cards = request.cards;
  slice->card = card;
  slice->owner = old ? h.owner_uid : peer.uid();
  slice->leader = old ? h.leader_pid : request.leader_pid;
  slice->leader_pidfd = OpenPidfd(slice->leader);
  slice->leader_alive = slice->leader_pidfd >= 0 || kill(slice->leader, 0) == 0;
  slice->paused = old && h.paused.load() != 0;
  slice->command = old ? std::string(h.command, strnlen(h.command, sizeof(h.command))) : "";
  slice->created = old ? h.created : now;
  slice->region = std::move(region);
  if (slice->leader_pidfd >= 0) Watch(slice->leader_pidfd);
  // Whatever the last daemon said about running is void: we begin with a tenant that may run, if
  // people let it.
  std::atomic<uint32_t>& gate = slice->header().gate;
  gate.store(slice::NextGate(gate.load(), slice->paused ? slice::kGateHeld : 0));
  Publish(*slice);
  if (old) slice->sweep_at = now;
  SliceRecord* adopted = slice.get();
  slices_[adopted->id] = std::move(slice);
  SetWindows();
  return adopted;
}

Result<uint32_t> Daemon::TakeSlot(SliceRecord& slice, pid_t pid,
                                  const slice::AttachRequest& request) {
  slice::Region& region = *slice.region.get();
  if (request.slot >= 0) {
    const auto slot = static_cast<uint32_t>(request.slot);
    const bool taken = std::any_of(slice.processes.begin(), slice.processes.end(),
                                   [&](const auto& p) { return p->slot == slot; });
    if (slot >= slice::kMaxProcesses || taken || region.slots[slot].owner != request.owner) {
      return Status(Code::kAborted, "the slot of the region belongs to another process");
    }
    return slot;
  }
  for (uint32_t slot = 0; slot < slice::kMaxProcesses; ++slot) {
    if (region.slots[slot].owner.load() != 0) continue;
    slice::ProcessSlot& fresh = region.slots[slot];
    fresh.used = fresh.claim = fresh.refused = fresh.launches = 0;
    fresh.workers = fresh.lever = fresh.obeyed = 0;
    fresh.booked = fresh.advance = fresh.unseen = 0;
    fresh.unforeseen = fresh.compared = 0;
    fresh.granted = 0;
    fresh.host_pid = static_cast<uint32_t>(pid);
    fresh.owner = OwnerNumber(pid);
    if (region.header.slots_used.load() <= slot) region.header.slots_used = slot + 1;
    return slot;
  }
  return Status(Code::kResourceExhausted,
                "slice " + slice.slice + " has " + std::to_string(slice::kMaxProcesses) +
                    " processes on the card, which is the most",
                "use fewer processes, or a slice for each part of them");
}

// Processes that died between two daemons left their slots. One that is stopped may announce itself
// much later: until then its memory counts.
void Daemon::SweepSlots(SliceRecord& slice, Nanos now) {
  slice.sweep_at = 0;
  for (uint32_t slot = 0; slot < slice::kMaxProcesses; ++slot) {
    const uint64_t owner = slice.region->slots[slot].owner.load();
    const bool attached = std::any_of(slice.processes.begin(), slice.processes.end(),
                                      [&](const auto& p) { return p->slot == slot; });
    if (owner == 0 || attached) continue;
    if (OwnerLives(owner)) {
      slice.sweep_at = now + kSecond;
    } else {
      slice.ClearSlot(slot);
    }
  }
}

void Daemon::LeaderGone(SliceRecord& slice) {
  if (slice.leader_pidfd >= 0) {
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, slice.leader_pidfd, nullptr);
    close(slice.leader_pidfd);
  }
  slice.leader_pidfd = -1;
  slice.leader_alive = false;
}

Daemon::Parts Daemon::PartsOf(const std::string& slice) const {
  Parts parts;
  for (const auto& [id, part] : slices_) {
    if (part->slice == slice) parts.push_back(part.get());
  }
  return parts;
}

void Daemon::EndIfOver(const std::string& slice) {
  const Parts parts = PartsOf(slice);
  for (const SliceRecord* part : parts) {
    if (part->leader_alive || !part->processes.empty()) return;
  }
  if (parts.empty()) return;
  WriteReport(parts);
  for (const SliceRecord* part : parts) slices_.erase(std::string(part->id));
  SetWindows();
  ServeWaiting();
}

// Each tenant's part of the period for the time after our death: windows lie side by side, and
// those of one slice at the same place on each of its cards.
void Daemon::SetWindows() {
  std::vector<int64_t> filled(cards_.size(), 0);
  std::map<const SliceRecord*, int64_t> begins;
  for (const bool gangs : {true, false}) {
    for (auto& [id, slice] : slices_) {
      if ((slice->gang != 0) != gangs || begins.count(slice.get())) continue;
      const Parts parts = PartsOf(slice->slice);
      int64_t begin = 0;
      for (const SliceRecord* part : parts) begin = std::max(begin, filled[part->card]);
      for (const SliceRecord* part : parts) {
        begins[part] = begin;
        filled[part->card] = begin + part->spec.limit;
      }
    }
  }
  // More than a period is scaled down, by the same on cards that one slice has.
  for (int64_t& whole : filled) whole = std::max<int64_t>(whole, model::kWholeCard);
  for (size_t joined = 0; joined < cards_.size(); ++joined) {
    for (auto& [id, slice] : slices_) {
      if (slice->gang == 0) continue;
      for (const SliceRecord* part : PartsOf(slice->slice)) {
        filled[part->card] = std::max(filled[part->card], filled[slice->card]);
      }
    }
  }
  for (auto& [id, slice] : slices_) {
    slice::RegionHeader& h = slice->header();
    h.window_begin = slice::Arbiter::kPeriod * begins[slice.get()] / filled[slice->card];
    h.window_length = slice::Arbiter::kPeriod * slice->spec.limit / filled[slice->card];
    h.window_period = slice::Arbiter::kPeriod;
  }
}

}  // namespace flexai::operate
