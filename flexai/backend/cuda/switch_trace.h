// The kernel module's trace of context switches, of one card: opened by control calls, read from a
// ring that the kernel module fills. It needs no library and slows nobody down. `flexaid` alone
// opens it, in its helper process.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "flexai/backend/cuda/switch_times.h"
#include "flexai/base/status.h"

namespace flexai::backend::cuda {

/// Whether this process sees processes by the names that the kernel module gives them: those of the
/// host's first namespace.
bool SeesHostPids();

/// What the trace asks of the system; tests put a pretend kernel module in its place.
struct TraceSystem {
  int (*open)(const char* path);
  int (*close)(int fd);
  int (*ioctl)(int fd, unsigned long request, void* argument);
  void* (*map)(size_t length, int fd);  // to read only; null = refused
  void (*unmap)(void* memory, size_t length);
  Nanos (*now)();  // CLOCK_MONOTONIC

  static const TraceSystem& Real();
};

class SwitchTrace {
 public:
  /// Records that the ring holds: enough for 0.8 s of the busiest switching seen.
  static constexpr uint32_t kRecords = 8192;

  /// Watches the card `uuid` behind /dev/nvidia<minor>. As root all processes are seen, else those
  /// of the caller's user alone.
  /// Errors: kUnavailable (no such card, no memory), kPermissionDenied, kUnimplemented (another
  /// kernel module); the message names the step.
  static Result<std::unique_ptr<SwitchTrace>> Open(int minor, const std::string& uuid,
                                                   const TraceSystem& system = TraceSystem::Real());
  ~SwitchTrace();
  SwitchTrace(const SwitchTrace&) = delete;
  SwitchTrace& operator=(const SwitchTrace&) = delete;

  /// Takes in what the kernel module has recorded until now. Thread: one.
  /// Errors: as above; the trace is of no use any more.
  Status Poll();
  SwitchTimes& times() { return times_; }

 private:
  explicit SwitchTrace(const TraceSystem& system) : system_(system) {}
  Status Start(int minor, const std::string& uuid);
  Status MakeDevice(const std::string& uuid);
  Result<bool> IsCard(const std::string& uuid);
  void Free(uint32_t parent, uint32_t object);
  Status OpenFile(const std::string& path, int* fd);
  Status MakeBuffer();
  Status Bind();
  Status Alloc(uint32_t parent, uint32_t handle, uint32_t object_class, void* parameters,
               uint32_t size, const char* step);
  Status Control(uint32_t object, uint32_t command, void* parameters, uint32_t size,
                 const char* step);
  Status Shared(uint32_t handle, size_t length, void** memory, const char* step);
  Status ReadClock();
  void ReadRing(uint32_t put);

  const TraceSystem& system_;
  std::vector<int> fds_;
  int control_fd_ = -1;
  uint32_t client_ = 0;
  volatile const api::rm::NV_EVENT_BUFFER_HEADER* header_ = nullptr;
  volatile const SwitchRecord* records_ = nullptr;
  uint32_t get_ = 0;
  bool flushes_ = true;
  Nanos clock_read_ = 0;
  SwitchTimes times_;
};

}  // namespace flexai::backend::cuda
