// A second fence for processes that cannot be held from inside, on cards whose compute units are
// cores of the host: a control group that gives them no more time than their slice's share.
#pragma once

#include <sys/types.h>

#include <string>

#include "flexai/base/status.h"
#include "flexai/model/units.h"

namespace flexai::operate {

class Fence {
 public:
  /// `root`: where control groups are mounted. `name`: the slice's, unique on this host.
  explicit Fence(std::string name, std::string root = "/sys/fs/cgroup");
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;
  ~Fence();

  /// Puts `pid`, with the children that it will have, behind the fence, and sets how much of
  /// `cores` all together get; calling it again is cheap.
  /// Errors: kUnavailable (this host has no control groups of processor time, or none that we may
  /// write).
  Status Hold(pid_t pid, model::Permille share, int cores);

  /// Removes what daemons that were killed have left empty.
  static void Sweep(const std::string& root = "/sys/fs/cgroup");

 private:
  Status Make();
  Status HoldThreads(pid_t pid);
  Status SetQuota(model::Permille share, int cores);

  std::string name_;
  std::string root_;
  std::string folder_;  // "" = not made yet
  bool unified_ = false;
  long quota_us_ = -1;
};

}  // namespace flexai::operate
