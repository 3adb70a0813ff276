#include "flexai/fake/card.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <map>

#include "flexai/base/log.h"

namespace flexai::fake {
namespace {

// Keeps `*value` and says so where the variable cannot be read: a test that misspells a number must
// not pass on a default.
template <class T>
void ReadNumber(const char* name, T least, T* value) {
  const char* text = getenv(name);
  if (!text || !*text) return;
  char* end = nullptr;
  const long long number = strtoll(text, &end, 0);
  if (*end != 0 || number < static_cast<long long>(least)) {
    Notice("%s=%s is no number of at least %lld; %lld is used", name, text,
           static_cast<long long>(least), static_cast<long long>(*value));
    return;
  }
  *value = static_cast<T>(number);
}

}  // namespace

CardConfig CardConfig::FromEnvironment() {
  CardConfig config;
  int spin = 0;
  ReadNumber<uint64_t>("FLEXAI_FAKE_MEMORY", 4096, &config.memory_bytes);
  ReadNumber<uint32_t>("FLEXAI_FAKE_UNITS", 1, &config.compute_units);
  ReadNumber<Nanos>("FLEXAI_FAKE_LAUNCH_NS", 0, &config.launch_ns);
  ReadNumber<Nanos>("FLEXAI_FAKE_ITEM_NS", 0, &config.item_ns);
  ReadNumber<int>("FLEXAI_FAKE_SPIN", 0, &spin);
  config.spin = spin != 0;
  return config;
}

Card::Card(const CardConfig& config)
    : config_(config), arena_(config.memory_bytes, config.alignment) {}

Card::~Card() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  work_.notify_all();
  for (const pthread_t worker : workers_) pthread_join(worker, nullptr);
}

Card& Card::Instance(int number) {
  static std::mutex* const mu = new std::mutex;  // guards what follows
  static auto* const cards = new std::map<int, std::unique_ptr<Card>>;
  std::lock_guard<std::mutex> lock(*mu);
  std::unique_ptr<Card>& card = (*cards)[number];
  if (!card) card = std::make_unique<Card>(CardConfig::FromEnvironment());
  return *card;
}

Nanos Card::CostOf(uint64_t items) const {
  const uint64_t each = (items + config_.compute_units - 1) / config_.compute_units;
  const uint64_t most = static_cast<uint64_t>(3600) * kSecond;
  const uint64_t item_ns = static_cast<uint64_t>(config_.item_ns);
  const uint64_t work = item_ns != 0 && each > most / item_ns ? most : each * item_ns;
  return config_.launch_ns + static_cast<Nanos>(work);
}

void Card::Start() {
  std::lock_guard<std::mutex> lock(mu_);
  if (workers_.empty()) StartWorkersLocked();
}

void Card::StartWorkersLocked() {
  for (uint32_t unit = 0; unit < config_.compute_units; ++unit) {
    const auto body = [](void* given) -> void* {
      // No name of its own: whoever starts the card may tell its workers by the name they inherit.
      static_cast<Card*>(given)->Work();
      return nullptr;
    };
    pthread_t worker;
    if (pthread_create(&worker, nullptr, body, this) != 0) {
      Notice("fake card: cannot start compute unit %u", unit);
      if (workers_.empty()) abort();  // nothing would ever end
      return;
    }
    workers_.push_back(worker);
  }
}

void Card::Submit(Stream& stream, const TaskPtr& task, const std::vector<TaskPtr>& after) {
  std::lock_guard<std::mutex> lock(mu_);
  if (workers_.empty()) StartWorkersLocked();
  if (!config_.spin) virtual_now_ += kMicrosecond;  // the host's time to submit
  task->queued_at = task->ready_at = NowLocked();
  task->chunks = task->compute ? static_cast<uint32_t>(workers_.size()) : 1;
  const auto wait_for = [&](const TaskPtr& other, bool takes_failure) {
    if (other->state != Task::State::kDone) {
      other->next.push_back({task, takes_failure});
      ++task->waits_for;
    } else if (takes_failure && other->code != 0 && task->code == 0) {
      task->code = task->code_if_dependency_failed;
    }
  };
  if (stream.last) wait_for(stream.last, false);
  for (const TaskPtr& other : after) wait_for(other, true);
  stream.last = task;
  if (task->waits_for == 0) ReadyLocked(task);
}

void Card::ReadyLocked(const TaskPtr& task) {
  ready_.push_back(task);
  work_.notify_all();
}

TaskPtr Card::NewManual() {
  auto task = std::make_shared<Task>();
  task->manual = true;
  std::lock_guard<std::mutex> lock(mu_);
  task->queued_at = NowLocked();
  return task;
}

bool Card::Complete(const TaskPtr& task, int64_t code) {
  Callbacks callbacks;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!task->manual || task->state == Task::State::kDone) return false;
    task->started_at = NowLocked();
    callbacks = EndLocked(task, code);
  }
  for (auto& callback : callbacks) callback(code);
  return true;
}

void Card::BeginLocked(Task& task) {
  task.state = Task::State::kRunning;
  if (config_.spin) {
    task.started_at = MonotonicNow();
    return;
  }
  task.started_at = std::max(task.ready_at, task.compute ? units_free_at_ : Nanos{0});
  task.ended_at = task.started_at + task.cost;
  if (task.compute) units_free_at_ = task.ended_at;
}

Card::Callbacks Card::EndLocked(const TaskPtr& task, int64_t code) {
  task->state = Task::State::kDone;
  task->code = code;
  if (config_.spin || task->manual) task->ended_at = NowLocked();
  virtual_now_ = std::max(virtual_now_, task->ended_at);
  if (!task->manual) busy_ += task->ended_at - task->started_at;
  for (const Task::Next& next : task->next) {
    Task& other = *next.task;
    other.ready_at = std::max(other.ready_at, task->ended_at);
    if (code != 0 && next.takes_failure && other.code == 0) {
      other.code = other.code_if_dependency_failed;
    }
    if (--other.waits_for == 0) ReadyLocked(next.task);
  }
  task->next.clear();
  Callbacks callbacks;
  callbacks.swap(task->when_done);
  done_.notify_all();
  return callbacks;
}

void Card::Stop(bool stop) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_.store(stop, std::memory_order_relaxed);
  }
  work_.notify_all();
}

void Card::PassStop() {
  std::unique_lock<std::mutex> lock(mu_);
  work_.wait(lock, [this] { return !stopped_.load(std::memory_order_relaxed); });
}

// Uses up CPU time of this thread, however long that takes.
void Card::Burn(Nanos cpu_time) {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  const Nanos end = static_cast<Nanos>(now.tv_sec) * kSecond + now.tv_nsec + cpu_time;
  volatile uint32_t x = 1;
  for (;;) {
    for (int i = 0; i < 500; ++i) x = x * 1664525u + 1013904223u;
    if (stopped_.load(std::memory_order_relaxed)) {
      std::unique_lock<std::mutex> lock(mu_);
      work_.wait(lock, [this] { return !stopped_.load(std::memory_order_relaxed); });
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    if (static_cast<Nanos>(now.tv_sec) * kSecond + now.tv_nsec >= end) return;
  }
}

void Card::Work() {
  std::unique_lock<std::mutex> lock(mu_);
  for (;;) {
    work_.wait(lock, [this] {
      const bool may_run = !stopped_.load(std::memory_order_relaxed);
      return stopping_ || (!ready_.empty() && may_run);
    });
    if (ready_.empty()) return;
    const TaskPtr task = ready_.front();
    const uint32_t chunk = task->claimed++;
    if (chunk == 0) BeginLocked(*task);
    if (task->claimed == task->chunks) ready_.pop_front();
    const bool skip = task->code != 0;  // a dependency has failed
    lock.unlock();
    int64_t code = 0;
    if (!skip && chunk == 0 && task->work) code = task->work();
    if (!skip && config_.spin && task->cost > 0) Burn(task->cost);
    lock.lock();
    if (code != 0 && task->code == 0) task->code = code;
    if (++task->finished < task->chunks) continue;
    // What the work held is free before anybody sees that it is done.
    auto work = std::move(task->work);
    task->work = nullptr;
    lock.unlock();
    work = nullptr;
    lock.lock();
    const int64_t result = task->code;
    Callbacks callbacks = EndLocked(task, result);
    if (callbacks.empty()) continue;
    lock.unlock();
    for (auto& callback : callbacks) callback(result);
    callbacks.clear();
    lock.lock();
  }
}

int64_t Card::Wait(const TaskPtr& task) {
  std::unique_lock<std::mutex> lock(mu_);
  done_.wait(lock, [&] { return task->state == Task::State::kDone; });
  return task->code;
}

void Card::Drain(Stream& stream) {
  std::unique_lock<std::mutex> lock(mu_);
  const TaskPtr last = stream.last;
  if (last) done_.wait(lock, [&] { return last->state == Task::State::kDone; });
}

void Card::WhenDone(const TaskPtr& task, std::function<void(int64_t)> then) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (task->state != Task::State::kDone) {
      task->when_done.push_back(std::move(then));
      return;
    }
  }
  then(task->code);
}

Task Card::Look(const TaskPtr& task) const {
  std::lock_guard<std::mutex> lock(mu_);
  Task copy;
  copy.state = task->state;
  copy.code = task->code;
  copy.queued_at = task->queued_at;
  copy.started_at = task->started_at;
  copy.ended_at = task->ended_at;
  copy.manual = task->manual;
  return copy;
}

Nanos Card::NowLocked() const { return config_.spin ? MonotonicNow() : virtual_now_; }

Nanos Card::Now() const {
  std::lock_guard<std::mutex> lock(mu_);
  return NowLocked();
}

Nanos Card::BusyTime() const {
  std::lock_guard<std::mutex> lock(mu_);
  return busy_;
}

}  // namespace flexai::fake
