#include "flexai/slice/tenant.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <utility>

#include "flexai/base/log.h"
#include "flexai/base/prompt.h"

namespace flexai::slice {
namespace {

constexpr int kAttachTimeoutMs = 5000;
constexpr int kCompareTimeoutMs = 2000;
constexpr Nanos kLookForSuccessor = 100 * kMillisecond;

// Out of the way of low numbers, which programs close or count on.
int MoveUp(int fd) {
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, 20);
  if (high < 0) return fd;
  close(fd);
  return high;
}

// Whether the peer has closed: a daemon that is merely slow still holds its end.
bool IsClosed(int socket) {
  pollfd peer = {socket, POLLIN | POLLRDHUP, 0};
  return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

}  // namespace

Result<int> Tenant::Connect(bool wait) {
  std::string addresses[3];
  const int count = DaemonAddresses(environment_, addresses);
  Status first;
  for (int i = 0; i < count; ++i) {
    Result<int> socket = ConnectDaemon(addresses[i], wait);
    if (socket.ok()) return MoveUp(*socket);
    if (first.ok()) first = socket.status();
  }
  return first;
}

Status Tenant::Ask(int socket, bool again) {
  AttachRequest request = request_;
  request.region_version = kRegionVersion;
  request.slot = -1;
  if (again) {
    request.slot = static_cast<int32_t>(slot_ - region()->slots);
    request.owner = slot_->owner.load(std::memory_order_relaxed);
  }
  return SendFrame(socket, FrameType::kAttach, &request, sizeof(request), again ? region_fd_ : -1);
}

Status Tenant::TakeAnswer(int socket, bool again) {
  Result<Frame> frame = ReceiveFrame(socket, again ? 0 : kAttachTimeoutMs);
  if (!frame.ok()) return frame.status();
  AttachReply reply;
  if (frame->type != FrameType::kAttached || frame->data.size() != sizeof(reply)) {
    if (frame->fd >= 0) close(frame->fd);
    return Status(Code::kFailedPrecondition, "the daemon's answer is of another version",
                  "use the library and the daemon of one release");
  }
  memcpy(&reply, frame->data.data(), sizeof(reply));
  reply.message[sizeof(reply.message) - 1] = reply.hint[sizeof(reply.hint) - 1] = '\0';
  if (reply.code != 0) {
    if (frame->fd >= 0) close(frame->fd);
    return Status(static_cast<Code>(reply.code), reply.message, reply.hint);
  }
  if (again) return Status();
  if (frame->fd < 0) return Status(Code::kInternal, "the daemon sent no region");
  const int fd = MoveUp(frame->fd);
  Result<RegionMap> map = RegionMap::Open(fd);
  if (!map.ok()) return map.status();
  if (reply.slot < 0 || reply.slot >= static_cast<int32_t>(kMaxProcesses)) {
    return Status(Code::kInternal, "the daemon named no slot");
  }
  Region* region = map->Leak();
  region_fd_ = fd;
  slot_ = &region->slots[reply.slot];
  slot_->pid.store(static_cast<uint32_t>(getpid()), std::memory_order_relaxed);
  if (tools_for_) {
    const Tools tools = tools_for_(region->header);
    lever_ = tools.lever;
    queues_ = tools.queues;
  }
  if (queues_) queues_->Show(&slot_->queues, &slot_->emptied_at);
  // Never freed: threads may still hold a pointer when the process ends.
  ledger_.store(new Ledger(region, static_cast<uint32_t>(reply.slot)), std::memory_order_release);
  region_.store(region, std::memory_order_release);
  return Status();
}

Status Tenant::Attach() {
  if (region()) return Status();
  std::lock_guard<std::mutex> lock(mu_);
  if (region()) return Status();
  const char* variable = getenv("FLEXAI_SLICE");
  if (!variable || !variable[0]) return Status(Code::kNotFound, "not under flexai run");
  Result<AttachRequest> request = ReadSliceVariable(variable);
  if (!request.ok()) return request.status();
  request_ = *request;
  request_.part = part_;
  environment_ = ReadDaemonEnvironment();
  // A daemon may be just now replaced by its successor.
  Status last;
  const Nanos deadline = MonotonicNow() + 2 * kSecond;
  do {
    Result<int> socket = Connect(/*wait=*/true);
    last = socket.status();
    if (socket.ok()) {
      last = Ask(*socket, /*again=*/false);
      if (last.ok()) last = TakeAnswer(*socket, /*again=*/false);
      if (last.ok()) {
        socket_ = *socket;
        StartAgent();
        return Status();
      }
      close(*socket);
    }
    if (last.code() != Code::kUnavailable) return last;
    usleep(50 * 1000);
  } while (MonotonicNow() < deadline);
  return last;
}

void Tenant::StartAgent() {
  PublishWorkers();
  if (agent_runs_) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  pthread_t thread;
  agent_runs_ = pthread_create(&thread, &attributes, &AgentMain, this) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!agent_runs_) Notice("no thread for the slice's agent: the share is not held here");
}

void* Tenant::AgentMain(void* self) {
  prctl(PR_SET_NAME, "flexai-agent", 0, 0, 0);
  AskForPromptWakeups();
  static_cast<Tenant*>(self)->RunAgent();
  return nullptr;
}

void Tenant::RunAgent() {
  RegionHeader& header = region()->header;
  while (!ending_.load(std::memory_order_relaxed)) {
    const uint32_t gate = header.gate.load(std::memory_order_acquire);
    if (IsSilent(MonotonicNow())) {
      KeepOwnClock();
      continue;
    }
    Follow(gate);
    if (asker_) asker_->Look(MonotonicNow());
    // The library that expects something to be booked may never allocate again: beside another one
    // of this process, whose slot the booking is in, it would count twice.
    if (Ledger* ours = ledger()) ours->SettleAdvance();
    // Another process of the tenant may have met the successor before us.
    LookForSuccessor(MonotonicNow());
    FutexWait(header.gate, gate, kHeartbeatLimit / 4);
  }
}

// A daemon may be slow, or stopped for a moment; one that hung up is gone.
bool Tenant::IsSilent(Nanos now) const {
  const Nanos silence = now - region()->header.heartbeat.load(std::memory_order_relaxed);
  if (silence <= kHeartbeatLimit / 4) return false;
  return silence > kHeartbeatLimit || (socket_ >= 0 && IsClosed(socket_));
}

bool Tenant::HearsDaemon() const {
  return region() && MonotonicNow() - region()->header.heartbeat.load(std::memory_order_relaxed) <=
                         kHeartbeatLimit;
}

void Tenant::Follow(uint32_t gate) {
  const uint32_t dropped = region()->header.dropped.load(std::memory_order_relaxed);
  if (lever_ && dropped != dropped_) {
    lever_->Drop(dropped_ = dropped);
    PublishWorkers();
  }
  const bool hold = (gate & kGateHeld) != 0;
  if (lever_ && hold != held_) {
    const Nanos begin = MonotonicNow();
    hold ? lever_->Hold((gate & kGateHandedOver) != 0) : lever_->Release();
    // A lever that takes its time takes effect on the way.
    slot_->turned_at.store(begin + (MonotonicNow() - begin) / 2, std::memory_order_relaxed);
    held_ = hold;
    PublishWorkers();
    // The process began to end meanwhile: nothing of it may be left held.
    if (hold && ending_.load(std::memory_order_seq_cst)) lever_->Release();
  }
  slot_->obeyed.store(gate, std::memory_order_release);
  const uint32_t time_slice = region()->header.time_slice.load(std::memory_order_relaxed);
  if (lever_ && time_slice != time_slice_) lever_->SetTimeSlice(time_slice_ = time_slice);
}

// The daemon is gone: run in our own window of each period, which overlaps with no other tenant's.
void Tenant::KeepOwnClock() {
  RegionHeader& header = region()->header;
  while (!ending_.load(std::memory_order_relaxed)) {
    const Nanos now = MonotonicNow();
    if (!IsSilent(now)) return;
    const bool paused = header.paused.load(std::memory_order_relaxed) != 0;
    const bool hold = paused || !InOwnWindow(header, now);
    if (lever_ && hold != held_) {
      hold ? lever_->Hold(/*handed_over=*/false) : lever_->Release();
      held_ = hold;
    }
    LookForSuccessor(now);
    FutexWait(header.gate, header.gate.load(std::memory_order_relaxed), kMillisecond);
  }
}

// Never waits, because the lever is to be moved in time: a successor that looks at its cards first
// answers when it can.
void Tenant::LookForSuccessor(Nanos now) {
  if (asked_ < 0) {
    if (now - looked_at_ < kLookForSuccessor || (socket_ >= 0 && !IsClosed(socket_))) return;
    looked_at_ = now;
    const Result<int> socket = Connect(/*wait=*/false);
    if (!socket.ok()) return;
    asked_ = *socket;
    if (Ask(asked_, /*again=*/true).ok()) return;
  } else {
    pollfd answer = {asked_, POLLIN, 0};
    if (poll(&answer, 1, 0) == 0 && now - looked_at_ < kAttachTimeoutMs * kMillisecond) return;
    const Status met = TakeAnswer(asked_, /*again=*/true);
    if (met.ok()) {
      if (socket_ >= 0) close(socket_);
      socket_ = std::exchange(asked_, -1);
      told_ = false;
      return;
    }
    if (!std::exchange(told_, true)) {
      FLEXAI_LOG("slice", kWarn, "the new daemon did not take slice %s: %s", request_.slice,
                 met.ToString().c_str());
    }
  }
  close(std::exchange(asked_, -1));
}

void Tenant::CountLaunches(uint64_t launches) {
  if (region()) slot_->launches.fetch_add(launches, std::memory_order_relaxed);
}

void Tenant::PublishWorkers() {
  if (!region() || !lever_) return;
  slot_->workers.store(lever_->workers(), std::memory_order_relaxed);
  slot_->lever.store(static_cast<uint32_t>(lever_->kind()), std::memory_order_relaxed);
}

bool Tenant::CompareBooks() {
  const std::string request = R"({"op":"compare","part":)" + std::to_string(part_) + "}";
  if (!region()) return false;
  const Result<int> socket = Connect(/*wait=*/true);
  if (!socket.ok()) return false;
  bool compared =
      SendFrame(*socket, FrameType::kRequest, request.data(), static_cast<uint32_t>(request.size()))
          .ok();
  if (compared) {
    const Result<Frame> reply = ReceiveFrame(*socket, kCompareTimeoutMs);
    if (reply.ok() && reply->fd >= 0) close(reply->fd);
    compared = reply.ok() && reply->data.find(R"("compared":true)") != std::string::npos;
  }
  close(*socket);
  return compared;
}

void Tenant::AfterFork() {
  // Closing is all that is safe here; the parent's mapping stays, unused.
  for (int* fd : {&socket_, &asked_, &region_fd_}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  if (Ledger* parents = ledger()) parents->Abandon();
  region_.store(nullptr, std::memory_order_relaxed);
  ledger_.store(nullptr, std::memory_order_relaxed);
  slot_ = nullptr;
  if (queues_) queues_->Forget();
  if (asker_) asker_->Forget();
  agent_runs_ = false;
  held_ = false;
  time_slice_ = 0;
  dropped_ = 0;
  if (lever_) lever_->Release();
}

void Tenant::Exit() {
  ending_.store(true, std::memory_order_seq_cst);
  if (lever_) lever_->Release();
  if (asker_) asker_->Stop();
}

}  // namespace flexai::slice
