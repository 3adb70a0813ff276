#include "flexai/slice/lever.h"

#include "flexai/slice/region.h"

namespace flexai::slice {

void GateLever::Release() {
  closed_.store(0, std::memory_order_relaxed);
  FutexWake(closed_);
}

void GateLever::WaitUntilOpen() {
  while (closed_.load(std::memory_order_relaxed) != 0) FutexWait(closed_, 1, kSecond);
}

}  // namespace flexai::slice
