// This process as part of a tenant: its attachment to the daemon, its slot in the region, and the
// agent, a thread that holds and releases the lever on the daemon's word. If the daemon falls
// silent, the agent keeps the tenant to its last limit by the clock, and looks for a successor.
// Never touches a device; starts nothing before the first call that wants a slice.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "flexai/slice/asker.h"
#include "flexai/slice/attach.h"
#include "flexai/slice/ledger.h"
#include "flexai/slice/lever.h"
#include "flexai/slice/queue_watch.h"
#include "flexai/slice/region.h"

namespace flexai::slice {

class Tenant {
 public:
  /// What a process is stopped with, and what it shows of its work; either may be null.
  struct Tools {
    Lever* lever;
    QueueWatch* queues;
  };
  /// Chooses them for the card that `header` names, at each attachment, before they are used.
  using ToolsFor = Tools (*)(const RegionHeader& header);

  /// `lever` may be null: then only memory is held. `queues`, if not null, is shown to the daemon.
  /// `part`: which of the slice's cards this is about, from 0.
  explicit Tenant(Lever* lever, QueueWatch* queues = nullptr, int part = 0)
      : lever_(lever), queues_(queues), part_(part) {}
  /// Where what is right depends on the card, which is known once attached.
  explicit Tenant(ToolsFor tools_for) : lever_(nullptr), queues_(nullptr), part_(0) {
    tools_for_ = tools_for;
  }
  /// Who asks about work that nobody waits for; null: nobody. Thread: one, before Attach.
  void AskWith(Asker* asker) { asker_ = asker; }
  Tenant(const Tenant&) = delete;
  Tenant& operator=(const Tenant&) = delete;

  /// Attaches to the slice that FLEXAI_SLICE names, and starts the agent. Does nothing if the
  /// process is attached; a fork's child attaches anew.
  /// Errors: kNotFound (no FLEXAI_SLICE: not under flexai run); others: no slice, so the caller
  /// must not let allocations pass.
  /// Thread: any.
  Status Attach();

  /// Null until attached. Thread: any.
  Ledger* ledger() const { return ledger_.load(std::memory_order_acquire); }
  Region* region() const { return region_.load(std::memory_order_acquire); }
  const char* slice() const { return request_.slice; }

  /// Adds launches counted by a thread to this process's slot.
  void CountLaunches(uint64_t launches);
  /// Tells the daemon what the lever can stop. Thread: any.
  void PublishWorkers();

  /// Has the daemon compare the books of the card's processes with what the driver says now, and
  /// waits until it has, or for two seconds. False if nobody can tell.
  /// Thread: any. Costs a connection and a question to the driver, some milliseconds: for what is
  /// rare.
  bool CompareBooks();
  /// Whether a daemon showed itself lately, so that a question is worth asking. Thread: any.
  bool HearsDaemon() const;

  /// In the child of a fork: forgets the parent's slot.
  void AfterFork();
  /// When the process ends: whatever is held may run to its end.
  void Exit();

 private:
  Result<int> Connect(bool wait);
  Status Ask(int socket, bool again);
  Status TakeAnswer(int socket, bool again);
  void StartAgent();
  static void* AgentMain(void* self);
  void RunAgent();
  void Follow(uint32_t gate);
  bool IsSilent(Nanos now) const;
  void KeepOwnClock();
  void LookForSuccessor(Nanos now);

  ToolsFor tools_for_ = nullptr;
  Lever* lever_;
  QueueWatch* queues_;
  Asker* asker_ = nullptr;
  int part_;
  std::mutex mu_;  // one attach at a time
  AttachRequest request_ = {};
  DaemonEnvironment environment_;
  std::atomic<Region*> region_{nullptr};
  std::atomic<Ledger*> ledger_{nullptr};
  ProcessSlot* slot_ = nullptr;
  int region_fd_ = -1;
  int socket_ = -1;
  int asked_ = -1;       // a socket on which a successor shall answer; the agent's thread alone
  Nanos looked_at_ = 0;  // when that was asked, or nobody found
  bool told_ = false;    // that a successor refused us
  bool agent_runs_ = false;
  std::atomic<bool> ending_{false};
  bool held_ = false;  // the agent's thread alone
  uint32_t time_slice_ = 0;
  uint32_t dropped_ = 0;
};

}  // namespace flexai::slice
