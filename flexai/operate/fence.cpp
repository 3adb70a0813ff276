#include "flexai/operate/fence.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace flexai::operate {
namespace {

// Short, so that the fenced stand still for no longer than a turn of the card's.
constexpr long kPeriodUs = 20'000;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Status Write(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(Code::kUnavailable, "cannot open " + path);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const Status status =
      written ? Status() : ErrnoStatus(Code::kUnavailable, "cannot write " + path);
  close(fd);
  return status;
}

// Version 2 has one tree for all; version 1 one for each resource.
bool IsUnified(const std::string& root) { return Exists(root + "/cgroup.controllers"); }

std::string Parent(const std::string& root) {
  return (IsUnified(root) ? root : root + "/cpu") + "/flexai";
}

}  // namespace

Fence::Fence(std::string name, std::string root) : name_(std::move(name)), root_(std::move(root)) {}

Fence::~Fence() {
  if (folder_.empty()) return;
  // It stays while processes are in it: the next daemon's Sweep removes it.
  rmdir(folder_.c_str());
  rmdir(Parent(root_).c_str());
}

Status Fence::Make() {
  unified_ = IsUnified(root_);
  const std::string parent = Parent(root_);
  // In version 2 a folder has files of a resource only if those above it pass the resource on.
  if (unified_) FLEXAI_RETURN_IF_ERROR(Write(root_ + "/cgroup.subtree_control", "+cpu"));
  if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(Code::kUnavailable, "cannot make " + parent);
  }
  if (unified_) FLEXAI_RETURN_IF_ERROR(Write(parent + "/cgroup.subtree_control", "+cpu"));
  const std::string folder = parent + "/" + name_;
  if (mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(Code::kUnavailable, "cannot make " + folder);
  }
  folder_ = folder;
  return Status();
}

Status Fence::SetQuota(model::Permille share, int cores) {
  const long quota = share * cores * kPeriodUs / model::kWholeCard;
  if (quota == quota_us_) return Status();
  if (unified_) {
    FLEXAI_RETURN_IF_ERROR(
        Write(folder_ + "/cpu.max", std::to_string(quota) + " " + std::to_string(kPeriodUs)));
  } else {
    FLEXAI_RETURN_IF_ERROR(Write(folder_ + "/cpu.cfs_period_us", std::to_string(kPeriodUs)));
    FLEXAI_RETURN_IF_ERROR(Write(folder_ + "/cpu.cfs_quota_us", std::to_string(quota)));
  }
  quota_us_ = quota;
  return Status();
}

Status Fence::Hold(pid_t pid, model::Permille share, int cores) {
  if (folder_.empty()) FLEXAI_RETURN_IF_ERROR(Make());
  FLEXAI_RETURN_IF_ERROR(SetQuota(share, cores));
  return unified_ ? Write(folder_ + "/cgroup.procs", std::to_string(pid)) : HoldThreads(pid);
}

// Version 1 takes no real-time threads, and with one of them it refuses the process: our own agent
// in there may be one, the driver's workers are none. They are moved one by one.
Status Fence::HoldThreads(pid_t pid) {
  DIR* folder = opendir(("/proc/" + std::to_string(pid) + "/task").c_str());
  if (!folder) return Status();  // it has just ended
  Status last = Status(Code::kUnavailable, "no thread of the process can be moved");
  bool moved = false;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    const Status one = Write(folder_ + "/tasks", entry->d_name);
    moved = moved || one.ok();
    if (!one.ok()) last = one;
  }
  closedir(folder);
  return moved ? Status() : last;
}

void Fence::Sweep(const std::string& root) {
  const std::string parent = Parent(root);
  DIR* folder = opendir(parent.c_str());
  if (!folder) return;
  while (const dirent* entry = readdir(folder)) {
    // The kernel refuses to remove those that hold processes.
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      rmdir((parent + "/" + entry->d_name).c_str());
    }
  }
  closedir(folder);
  rmdir(parent.c_str());
}

}  // namespace flexai::operate
