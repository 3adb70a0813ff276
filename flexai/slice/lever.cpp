#include "flexai/slice/lever.h"

#include <errno.h>

#include "flexai/slice/region.h"

namespace flexai::slice {

void GateLever::Release() {
  closed_.store(0, std::memory_order_relaxed);
  FutexWake(closed_);
}

void GateLever::WaitUntilOpen() {
  const int saved = errno;
  while (closed_.load(std::memory_order_relaxed) != 0) FutexWait(closed_, 1, kSecond);
  errno = saved;
}

}  // namespace flexai::slice
