#include "flexai/operate/daemon.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "flexai/base/log.h"
#include "flexai/operate/bypass.h"
#include "flexai/operate/look_after.h"

namespace flexai::operate {
namespace {

constexpr Nanos kLeaveAfter = 60 * kSecond;
// Without cards soon: what was mended meanwhile shall be seen by the one that comes next.
constexpr Nanos kLeaveWithoutCards = 10 * kSecond;
// What it costs to stop one tenant's channels and start another's, as measured on an H100.
constexpr Nanos kHandOver = 250 * kMicrosecond;

std::vector<Nanos> HandOversOf(const std::vector<model::Card>& cards) {
  std::vector<Nanos> times;
  times.reserve(cards.size());
  // Threads of a card that is the host's cores stop and start within microseconds.
  for (const model::Card& card : cards) times.push_back(card.kind == "cpu" ? 0 : kHandOver);
  return times;
}

std::vector<uint64_t> FindAll(const ContextStore& contexts, const std::vector<model::Card>& cards) {
  std::vector<uint64_t> all;
  all.reserve(cards.size());
  for (const model::Card& card : cards) all.push_back(contexts.Find(card));
  return all;
}

}  // namespace

Daemon::Daemon(DaemonOptions options, std::vector<model::Card> cards)
    : options_(std::move(options)),
      cards_(std::move(cards)),
      meter_(options_.meter_ask_fd, options_.meter_answer_fd),
      levers_(cards_, options_.start_probe, LeverBook(options_.state_folder, options_.version)),
      contexts_(options_.state_folder),
      context_bytes_(FindAll(contexts_, cards_)),
      arbiter_(HandOversOf(cards_)),
      looked_at_(cards_.size(), MonotonicNow()),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      timer_fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      started_(MonotonicNow()),
      idle_since_(started_) {}

Daemon::~Daemon() {
  connections_.clear();
  for (const int fd : {options_.listen_fd, epoll_fd_, timer_fd_, stop_fd_}) {
    if (fd >= 0) close(fd);
  }
}

void Daemon::Stop() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_fd_, &one, sizeof(one));
}

void Daemon::Watch(int fd) {
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.fd = fd;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
}

Status Daemon::Run() {
  if (epoll_fd_ < 0 || timer_fd_ < 0 || stop_fd_ < 0) {
    return ErrnoStatus(Code::kInternal, "the daemon cannot make its loop");
  }
  for (const int fd : {options_.listen_fd, timer_fd_, stop_fd_}) Watch(fd);
  if (meter_.answer_fd() >= 0) Watch(meter_.answer_fd());
  Fence::Sweep();
  levers_.Begin(MonotonicNow());
  for (;;) {
    Nanos now = MonotonicNow();
    Tick(now);
    if (options_.leave_when_idle && IdleForLong(now)) return Status();
    if (levers_.TakeStarted()) Watch(levers_.answer_fd());
    const Nanos next = NextTick(now);
    const itimerspec timer = {{0, 0}, {next / kSecond, std::max<long>(next % kSecond, 1)}};
    timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &timer, nullptr);
    epoll_event events[32];
    const int count = epoll_wait(epoll_fd_, events, 32, -1);
    if (count < 0 && errno != EINTR) return ErrnoStatus(Code::kInternal, "epoll failed");
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == stop_fd_) return Status();
      if (fd == timer_fd_) {
        uint64_t ticks;
        [[maybe_unused]] const ssize_t got = read(timer_fd_, &ticks, sizeof(ticks));
      } else if (fd == options_.listen_fd) {
        Accept();
      } else if (fd == meter_.answer_fd()) {
        OnMeter();
      } else if (fd == levers_.answer_fd()) {
        if (levers_.OnAnswer(now)) PublishAll();
      } else if (connections_.count(fd)) {
        Serve(fd);
      } else {
        OnPidfd(fd);
      }
    }
  }
}

void Daemon::Accept() {
  for (;;) {
    const int fd = accept4(options_.listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    connections_[fd] = std::make_unique<Connection>(fd);
    Watch(fd);
  }
}

void Daemon::Serve(int fd) {
  Connection& peer = *connections_.at(fd);
  const bool alive = peer.ReadSome();
  slice::Frame frame;
  while (peer.TakeFrame(&frame)) {
    if (frame.type == slice::FrameType::kAttach) {
      OnAttach(peer, frame);
    } else if (frame.type == slice::FrameType::kRequest) {
      OnRequest(peer, frame);
    }
    if (frame.fd >= 0) close(frame.fd);
  }
  if (!alive || peer.broken()) Drop(fd);
}

void Daemon::Drop(int fd) {
  connections_.erase(fd);
  for (auto& waiting : waiting_) {
    if (waiting.connection == fd && waiting.report_fd >= 0) close(waiting.report_fd);
  }
  std::erase_if(comparing_, [&](const Comparing& one) { return one.connection == fd; });
  // Those behind one that gave up may find room.
  if (std::erase_if(waiting_, [&](const Waiting& w) { return w.connection == fd; })) ServeWaiting();
  for (auto& [id, slice] : slices_) {
    for (size_t i = 0; i < slice->processes.size(); ++i) {
      if (slice->processes[i]->connection != fd) continue;
      slice->ForgetProcess(i);
      return EndIfOver(std::string(slice->slice));
    }
  }
}

void Daemon::OnPidfd(int fd) {
  for (auto& [id, slice] : slices_) {
    if (slice->leader_pidfd == fd) {
      LeaderGone(*slice);
      return EndIfOver(std::string(slice->slice));
    }
    for (const auto& process : slice->processes) {
      // Its socket may live on in a child that it forked without our noticing.
      if (process->pidfd == fd) return Drop(process->connection);
    }
  }
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void Daemon::Tick(Nanos now) {
  Arbitrate(now);
  for (auto& [id, slice] : slices_) {
    slice->header().heartbeat.store(now, std::memory_order_relaxed);
    slice->CheckObedience(now);
    slice->Sample(now);
  }
  if (now >= next_second_) SecondTick(now);
}

void Daemon::Arbitrate(Nanos now) {
  std::vector<std::vector<SliceRecord*>> here(cards_.size());
  std::vector<SliceRecord*> all;
  std::vector<slice::ArbiterInput> inputs;
  for (auto& [id, slice] : slices_) {
    all.push_back(slice.get());
    here[slice->card].push_back(slice.get());
    const Nanos traced = slice->received.TakeCorrection();
    slice->trace_corrected += traced;
    inputs.push_back({slice->number, slice->spec.share, slice->spec.limit, slice->spec.priority,
                      slice->paused, slice->Busy(now), slice->TakeCorrection() + traced,
                      static_cast<uint32_t>(slice->card), slice->gang});
  }
  for (size_t card = 0; card < cards_.size(); ++card) Rest(card, here[card], now);
  const std::vector<slice::ArbiterAccount>& accounts = arbiter_.Step(now, inputs);
  for (size_t i = 0; i < all.size(); ++i) {
    SliceRecord& slice = *all[i];
    slice.account = accounts[i];
    const Nanos charged = slice.account.received - slice.trace_corrected;
    slice.received.Charged(now, charged, slice.rested, slice.busy);
  }
  for (size_t card = 0; card < cards_.size(); ++card) HandOver(card, here[card], now);
}

// A tenant without work stays on the card until another has some. With several that rest, one of
// them is there, and nobody knows which: it may be each.
void Daemon::Rest(size_t card, const std::vector<SliceRecord*>& here, Nanos now) {
  const Nanos elapsed = now - std::exchange(looked_at_[card], now);
  for (const SliceRecord* slice : here) {
    if (slice->busy) return;
  }
  for (SliceRecord* slice : here) {
    if (slice->running()) slice->rested += elapsed;
  }
}

// As the accounts say.
void Daemon::HandOver(size_t card, const std::vector<SliceRecord*>& here, Nanos now) {
  bool one_works = false, one_stops = false, changes = false;
  for (const SliceRecord* slice : here) {
    one_works |= slice->busy && slice->account.run;
    one_stops |= slice->busy && !slice->account.run && slice->running();
    changes |= slice->running() != slice->account.run;
  }
  if (!changes) return;
  const bool on_cores = cards_[card].kind == "cpu" && here.size() > 1;
  Nanos all = 0;
  for (const SliceRecord* slice : here) all += on_cores ? slice->ProcessTime() : 0;
  // The next one starts before the last one stops: the card is never without work between them.
  for (const bool run : {true, false}) {
    for (SliceRecord* one : here) {
      SliceRecord& slice = *one;
      if (slice.account.run != run || slice.running() == run) continue;
      const Nanos others = on_cores ? all - slice.ProcessTime() : 0;
      if (on_cores && !run) slice.EndTurn(others, cards_[card].compute_units);
      slice.SetRun(run, run ? one_stops : one_works, now);
      if (on_cores && run) slice.BeginTurn(others);
    }
  }
}

void Daemon::SecondTick(Nanos now) {
  next_second_ = now + kSecond;
  AskMeter();
  if (levers_.OnTime(now)) PublishAll();
  std::vector<std::string> over;
  RankSlices();
  for (auto& [id, slice] : slices_) {
    if (slice->sweep_at != 0 && now >= slice->sweep_at) SweepSlots(*slice, now);
    // Kernels without pidfds do not tell of a leader's end.
    if (slice->leader_alive && slice->leader_pidfd < 0 && kill(slice->leader, 0) != 0) {
      LeaderGone(*slice);
      over.push_back(slice->slice);
    }
    for (auto& process : slice->processes) process->meter.Find(kWorkerThreadName);
    FenceIn(*slice, LookForBypass(*slice));
  }
  for (const std::string& slice : over) EndIfOver(slice);
}

void Daemon::RankSlices() {
  for (auto& [id, slice] : slices_) {
    bool below = false, above = false;
    for (const auto& [other_id, other] : slices_) {
      if (other->card != slice->card || other->processes.empty()) continue;
      below = below || other->spec.priority > slice->spec.priority;
      above = above || other->spec.priority < slice->spec.priority;
    }
    slice->Rank(below, above);
  }
}

// One that is between loading the driver and attaching is seen once; one that stays is named.
std::vector<pid_t> Daemon::LookForBypass(SliceRecord& slice) const {
  std::vector<pid_t> named;
  std::map<pid_t, std::string> found;
  slice.bypass_warning.clear();
  for (const pid_t pid : slice.leader_alive ? DescendantsOf(slice.leader) : std::vector<pid_t>()) {
    const bool attached = std::any_of(slice.processes.begin(), slice.processes.end(),
                                      [&](const auto& p) { return p->pid == pid; });
    const std::string driver = attached ? "" : MappedDriver(pid, cards_[slice.card].libraries);
    if (driver.empty()) continue;
    found[pid] = driver;
    if (!slice.unattached.count(pid)) continue;
    slice.bypass_warning = "process " + std::to_string(pid) + " uses " + driver +
                           " without being attached: neither its memory nor its share is held";
    named.push_back(pid);
  }
  slice.unattached = std::move(found);
  return named;
}

// Where the card's compute units are this host's cores, those who cannot be held from inside get no
// more than their slice's share of them: what nobody can stop does not borrow.
void Daemon::FenceIn(SliceRecord& slice, std::vector<pid_t> unheld) const {
  for (const auto& process : slice.processes) {
    if (!process->warning.empty()) unheld.push_back(process->pid);
  }
  const model::Card& card = cards_[slice.card];
  if (unheld.empty() || card.kind != "cpu") return;
  if (!slice.fence) {
    // Not by its id, which peers choose.
    slice.fence =
        std::make_unique<Fence>(std::to_string(getpid()) + "-" + std::to_string(slice.number));
  }
  Status fenced;
  for (const pid_t pid : unheld) {
    const Status one = slice.fence->Hold(pid, slice.spec.share, card.compute_units);
    if (!one.ok() && kill(pid, 0) == 0) fenced = one;
  }
  slice.fence_note = fenced.ok() ? "a control group holds what cannot be held from inside to " +
                                       model::FormatPercent(slice.spec.share) + " of " +
                                       std::to_string(card.compute_units) + " cores"
                                 : "no control group helps: " + std::string(fenced.message());
}

Nanos Daemon::NextTick(Nanos now) const {
  std::vector<Looked> tenants;
  tenants.reserve(slices_.size());
  for (const auto& [id, slice] : slices_) {
    tenants.push_back({slice->busy, slice->paused, slice->tells(), slice->below()});
  }
  const Nanos next = now + LookAfter(tenants);
  return arbiter_.next_step() > now ? std::min(next, arbiter_.next_step()) : next;
}

bool Daemon::IdleForLong(Nanos now) {
  if (!slices_.empty() || !waiting_.empty() || !connections_.empty()) idle_since_ = now;
  return now - idle_since_ >= (cards_.empty() ? kLeaveWithoutCards : kLeaveAfter);
}

}  // namespace flexai::operate
