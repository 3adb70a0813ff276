#include "flexai/backend/opencl/queues.h"

#include <new>
#include <string_view>
#include <utility>

#include "flexai/intercept/param.h"

namespace flexai::backend::opencl {

using intercept::Call;

namespace {

// How often at most a queue that nobody waits for is asked.
constexpr Nanos kAskEvery = kMillisecond;

/// What the functions that enqueue say besides their queue.
struct Command {
  uint64_t event = 0;  // the one that it made
  bool blocks = false;
};

template <class C>
Command CommandOf(void* params) {
  const C& call = *static_cast<const C*>(params);
  Command command;
  if (call.event) command.event = intercept::ToWord(*call.event);
  if constexpr (requires { call.blocking_read; }) {
    command.blocks = call.blocking_read != 0;
  } else if constexpr (requires { call.blocking_write; }) {
    command.blocks = call.blocking_write != 0;
  } else if constexpr (requires { call.blocking_map; }) {
    command.blocks = call.blocking_map != 0;
  } else if constexpr (requires { call.blocking_copy; }) {
    command.blocks = call.blocking_copy != 0;
  } else if constexpr (requires { call.blocking; }) {
    command.blocks = call.blocking != 0;
  }
  return command;
}

using CommandFn = Command (*)(void* params);

std::array<CommandFn, api::kFunctionCount> LearnCommands() {
  std::array<CommandFn, api::kFunctionCount> commands = {};
  const auto add = [&]<class... C>() { ((commands[C::kIndex] = &CommandOf<C>), ...); };
  add.operator()<
      api::ClEnqueueNDRangeKernelCall, api::ClEnqueueTaskCall, api::ClEnqueueNativeKernelCall,
      api::ClEnqueueCommandBufferKHRCall, api::ClEnqueueMarkerCall,
      api::ClEnqueueMarkerWithWaitListCall, api::ClEnqueueBarrierWithWaitListCall,
      api::ClEnqueueReadBufferCall, api::ClEnqueueWriteBufferCall, api::ClEnqueueCopyBufferCall,
      api::ClEnqueueReadBufferRectCall, api::ClEnqueueWriteBufferRectCall,
      api::ClEnqueueCopyBufferRectCall, api::ClEnqueueReadImageCall, api::ClEnqueueWriteImageCall,
      api::ClEnqueueCopyImageCall, api::ClEnqueueCopyImageToBufferCall,
      api::ClEnqueueCopyBufferToImageCall, api::ClEnqueueMapBufferCall, api::ClEnqueueMapImageCall,
      api::ClEnqueueUnmapMemObjectCall, api::ClEnqueueFillBufferCall, api::ClEnqueueFillImageCall,
      api::ClEnqueueMigrateMemObjectsCall, api::ClEnqueueMigrateMemObjectEXTCall,
      api::ClEnqueueSVMMemcpyCall, api::ClEnqueueSVMMemFillCall, api::ClEnqueueSVMMapCall,
      api::ClEnqueueSVMUnmapCall, api::ClEnqueueSVMMigrateMemCall, api::ClEnqueueSVMMemcpyARMCall,
      api::ClEnqueueSVMMemFillARMCall, api::ClEnqueueSVMMapARMCall, api::ClEnqueueSVMUnmapARMCall,
      api::ClEnqueueMemFillINTELCall, api::ClEnqueueMemcpyINTELCall,
      api::ClEnqueueMigrateMemINTELCall, api::ClEnqueueMemsetINTELCall>();
  return commands;
}

const std::array<CommandFn, api::kFunctionCount>& Commands() {
  static const std::array<CommandFn, api::kFunctionCount> commands = LearnCommands();
  return commands;
}

/// What our marker behind a queue's work knows.
struct Behind {
  slice::QueueWatch* watch;
  std::atomic<bool>* asking;
  uint32_t at;
  uint64_t launches;
};

// A command that failed ended, too.
void OnBehind(api::cl_event marker, api::cl_int, void* data) {
  const auto* behind = static_cast<const Behind*>(data);
  behind->watch->Done(behind->at, behind->launches);
  behind->asking->store(false, std::memory_order_release);
  delete behind;
  const intercept::OwnCalls own;
  Real().clReleaseEvent(marker);
}

void OnEvent(api::cl_event event, api::cl_int, void* watch) {
  static_cast<slice::QueueWatch*>(watch)->WaitedFor(intercept::ToWord(event));
}

}  // namespace

Queues::Queues(slice::QueueWatch* watch) : watch_(watch) {
  for (const intercept::FnInfo& info : api::kFunctions) does_[info.index] = Learn(info);
}

Queues::Does Queues::Learn(const intercept::FnInfo& info) {
  static constexpr std::pair<std::string_view, Does> kDoes[] = {
      {"clEnqueueMarker", Does::kMark},
      {"clEnqueueMarkerWithWaitList", Does::kMark},
      {"clEnqueueBarrierWithWaitList", Does::kMark},
      {"clFinish", Does::kFinish},
      {"clWaitForEvents", Does::kWaitForEvents},
      {"clGetEventInfo", Does::kAskEvent},
      {"clSetEventCallback", Does::kCallBack},
      {"clSetCommandQueueProperty", Does::kChangeQueue},
      {"clRetainCommandQueue", Does::kRetainQueue},
      {"clReleaseCommandQueue", Does::kReleaseQueue},
  };
  const std::string_view name = info.name;
  for (const auto& [known, does] : kDoes) {
    if (known == name) return does;
  }
  const bool works =
      info.event == intercept::Event::kLaunch || info.event == intercept::Event::kCopy;
  return works && name.starts_with("clEnqueue") ? Does::kEnqueue : Does::kNothing;
}

void Queues::Forget() {
  // The lock may have been held by a thread that does not exist in the child.
  new (&mu_) std::mutex;
  for (auto& asking : asking_) asking.store(false, std::memory_order_relaxed);
}

bool Queues::Watches(const intercept::FnInfo& info) const {
  return does_[info.index] != Does::kNothing;
}

bool Queues::IsInOrder(uint64_t queue) {
  api::cl_ulong properties = 0;
  const auto handle = reinterpret_cast<api::cl_command_queue>(queue);
  return Real().clGetCommandQueueInfo &&
         Real().clGetCommandQueueInfo(handle, api::CL_QUEUE_PROPERTIES, sizeof(properties),
                                      &properties, nullptr) == 0 &&
         (properties & api::CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) == 0;
}

void Queues::Made(uint64_t queue) {
  const bool in_order = IsInOrder(queue);
  if (!in_order) some_out_of_order_.store(true, std::memory_order_relaxed);
  std::lock_guard<std::mutex> lock(mu_);
  queues_[queue] = {1, in_order};
}

// Most programs have no other.
bool Queues::InOrder(uint64_t queue) {
  if (!some_out_of_order_.load(std::memory_order_relaxed)) return true;
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = queues_.find(queue);
  return found != queues_.end() && found->second.in_order;
}

void Queues::Before(Call& call) {
  switch (does_[call.info().index]) {
    case Does::kEnqueue:
      // Also one that blocks: while it does, the card has to work for it.
      if (!watch_->Launched(call.handle())) watch_->LaunchedElsewhere();
      call.scratch() = watch_->Before(call.handle());
      return;
    case Does::kFinish:
      call.scratch() = watch_->Before(call.handle());
      return;
    case Does::kReleaseQueue:
      return Release(call.handle());
    default:
      return;
  }
}

void Queues::After(Call& call) {
  if (!call.ok()) return;
  switch (does_[call.info().index]) {
    case Does::kEnqueue:
    case Does::kMark:
      return Enqueued(call);
    case Does::kFinish:
      watch_->Waited(call.handle(), call.scratch());
      return AskForOthers();
    case Does::kWaitForEvents: {
      const auto& c = call.As<api::ClWaitForEventsCall>();
      for (api::cl_uint i = 0; i < c.num_events; ++i) {
        watch_->WaitedFor(intercept::ToWord(c.event_list[i]));
      }
      return AskForOthers();
    }
    case Does::kAskEvent: {
      const auto& c = call.As<api::ClGetEventInfoCall>();
      if (c.param_name != api::CL_EVENT_COMMAND_EXECUTION_STATUS || !c.param_value) return;
      if (*static_cast<const api::cl_int*>(c.param_value) != api::CL_COMPLETE) return;
      return Complete(call.handle());
    }
    case Does::kCallBack: {
      const auto& c = call.As<api::ClSetEventCallbackCall>();
      if (c.command_exec_callback_type != api::CL_COMPLETE) return;
      Real().clSetEventCallback(c.event, api::CL_COMPLETE, &OnEvent, watch_);
      return;
    }
    case Does::kChangeQueue: {
      const bool in_order = IsInOrder(call.handle());
      if (!in_order) some_out_of_order_.store(true, std::memory_order_relaxed);
      std::lock_guard<std::mutex> lock(mu_);
      const auto found = queues_.find(call.handle());
      if (found != queues_.end()) found->second.in_order = in_order;
      return;
    }
    case Does::kRetainQueue:
      return Retain(call.handle());
    default:
      return;
  }
}

// Where commands overtake each other, one that is done tells nothing of those before it.
void Queues::Enqueued(Call& call) {
  const CommandFn about = Commands()[call.info().index];
  if (!about || !InOrder(call.handle())) return;
  const Command command = about(call.params());
  if (command.blocks) {
    watch_->Waited(call.handle(), call.scratch());
    AskForOthers();
  } else if (command.event != 0) {
    watch_->Marked(command.event, call.handle());
  }
}

void Queues::Complete(uint64_t event) {
  watch_->WaitedFor(event);
  AskForOthers();
}

void Queues::Retain(uint64_t queue) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = queues_.find(queue);
  if (found != queues_.end()) ++found->second.references;
}

// A queue that is given up works on, and its name may become another's.
void Queues::Release(uint64_t queue) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = queues_.find(queue);
  if (found == queues_.end() || --found->second.references > 0) return;
  queues_.erase(found);
  const int at = watch_->Unnamed(queue);
  slice::QueueWatch::Work work;
  if (at < 0 || !watch_->IsFull(static_cast<uint32_t>(at), &work)) return;
  PutBehind(queue, static_cast<uint32_t>(at), work.launches);
}

// False where the driver will not: then what is in the queue counts as work for ever.
bool Queues::PutBehind(uint64_t queue, uint32_t at, uint64_t launches) {
  const api::Real& real = Real();
  const auto handle = reinterpret_cast<api::cl_command_queue>(queue);
  api::cl_event marker = nullptr;
  if (!real.clEnqueueMarkerWithWaitList || !real.clSetEventCallback ||
      real.clEnqueueMarkerWithWaitList(handle, 0, nullptr, &marker) != 0) {
    return false;
  }
  auto* behind = new Behind{watch_, &asking_[at], at, launches};
  if (real.clSetEventCallback(marker, api::CL_COMPLETE, &OnBehind, behind) != 0) {
    delete behind;
    real.clReleaseEvent(marker);
    return false;
  }
  real.clFlush(handle);
  return true;
}

// A queue that a program only ever waits for by another's wait would count as full for ever: so
// whoever has waited for one asks the others.
void Queues::AskForOthers() {
  const Nanos now = MonotonicNow();
  Nanos last = asked_at_.load(std::memory_order_relaxed);
  if (now - last < kAskEvery || !asked_at_.compare_exchange_strong(last, now)) return;
  std::unique_lock<std::mutex> lock(mu_, std::try_to_lock);
  if (!lock) return;
  for (uint32_t at = 0; at < slice::QueueWatch::kQueues; ++at) {
    slice::QueueWatch::Work work;
    if (!watch_->IsFull(at, &work) || queues_.count(work.queue) == 0) continue;
    if (asking_[at].exchange(true, std::memory_order_acquire)) continue;
    if (!PutBehind(work.queue, at, work.launches)) asking_[at] = false;
  }
}

}  // namespace flexai::backend::opencl
