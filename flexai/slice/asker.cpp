#include "flexai/slice/asker.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "flexai/base/log.h"
#include "flexai/slice/region.h"

namespace flexai::slice {
namespace {

// Who launches and then waits is answered by the wait itself, most often sooner than this.
constexpr Nanos kFirstPause = 40 * kMillisecond;
constexpr Nanos kLastPause = 320 * kMillisecond;
constexpr int kStopMs = 100;

}  // namespace

void Asker::Look(Nanos now) {
  const uint64_t launches = watch_->launches();
  if (launches != launches_ || !watch_->IsFull()) {
    launches_ = launches;
    pause_ = kFirstPause;
    due_ = now + pause_;
    return;
  }
  if (now < due_) return;
  pause_ = std::min(2 * pause_, kLastPause);
  due_ = now + pause_;
  if (!runs_) {
    // The agent takes no signals, so neither does this one.
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_t thread;
    runs_ = pthread_create(&thread, &attributes, &Main, this) == 0;
    pthread_attr_destroy(&attributes);
    if (!runs_) return;  // perhaps the next time
  }
  wanted_.fetch_add(1, std::memory_order_release);
  FutexWake(wanted_);
}

void* Asker::Main(void* self) {
  prctl(PR_SET_NAME, "flexai-asker", 0, 0, 0);
  static_cast<Asker*>(self)->Run();
  return nullptr;
}

void Asker::Run() {
  uint32_t answered = 0;
  while (!ending_.load(std::memory_order_relaxed)) {
    const uint32_t wanted = wanted_.load(std::memory_order_acquire);
    if (wanted == answered) {
      FutexWait(wanted_, wanted, kSecond);
      continue;
    }
    answered = wanted;
    asking_.store(true, std::memory_order_seq_cst);
    if (!ending_.load(std::memory_order_seq_cst)) ask_(self_);
    asking_.store(false, std::memory_order_release);
  }
}

void Asker::Stop() {
  ending_.store(true, std::memory_order_seq_cst);
  for (int i = 0; i < kStopMs && asking_.load(std::memory_order_seq_cst); ++i) usleep(1000);
}

void Asker::Forget() {
  runs_ = false;
  asking_.store(false, std::memory_order_relaxed);
}

}  // namespace flexai::slice
