// The fake OpenCL driver: queues, events, waiting.
#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::backend::opencl::fake_driver {
namespace {

// The tasks of a wait list; false if the API calls it invalid.
bool TasksOf(cl::cl_uint count, const cl::cl_event* list, const Context* context,
             std::vector<TaskPtr>* tasks, int64_t* error) {
  *error = cl::CL_INVALID_EVENT_WAIT_LIST;
  if ((count == 0) != (list == nullptr)) return false;
  for (cl::cl_uint i = 0; i < count; ++i) {
    auto* event = Live<Event>(list[i]);
    if (!event) return false;
    if (event->context.get() != context) {
      *error = cl::CL_INVALID_CONTEXT;
      return false;
    }
    tasks->push_back(event->task);
  }
  return true;
}

}  // namespace

cl::cl_int Enqueue(cl::cl_command_queue handle, cl::cl_uint waits, const cl::cl_event* list,
                   cl::cl_event* event, Command command) {
  auto* queue = Live<Queue>(handle);
  if (!queue) return static_cast<cl::cl_int>(cl::CL_INVALID_COMMAND_QUEUE);
  std::vector<TaskPtr> after;
  int64_t error = 0;
  if (!TasksOf(waits, list, queue->context.get(), &after, &error)) {
    return static_cast<cl::cl_int>(error);
  }
  auto task = std::make_shared<Task>();
  // The command keeps its queue, and so its context, until it has run.
  task->work = [work = std::move(command.work), keep = Ref(queue)] { return work ? work() : 0; };
  task->cost = command.cost;
  task->compute = command.compute;
  task->code_if_dependency_failed = cl::CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
  Card::Instance().Submit(queue->stream, task, after);
  if (event) {
    auto* made = Make<Event>();
    made->context = queue->context;
    made->queue = Ref(queue);
    made->command = command.type;
    made->task = task;
    *event = HandleOf<cl::cl_event>(made);
  }
  if (!command.blocking) return 0;
  return static_cast<cl::cl_int>(Card::Instance().Wait(task));
}

}  // namespace flexai::backend::opencl::fake_driver

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

constexpr uint64_t kQueueFlags = static_cast<uint64_t>(cl::CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE |
                                                       cl::CL_QUEUE_PROFILING_ENABLE);

template <class C>
Queue* NewQueue(C& call, uint64_t flags) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT), nullptr;
  if (!Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE), nullptr;
  if (flags & ~kQueueFlags) return Fail(call, cl::CL_INVALID_QUEUE_PROPERTIES), nullptr;
  auto* queue = Make<Queue>();
  queue->context = Ref(context);
  queue->flags = flags;
  Give(call, queue);
  return queue;
}

template <class C>
void NewQueueFromList(C& call) {
  uint64_t flags = 0;
  for (const auto* at = call.properties; at && at[0] != 0; at += 2) {
    if (static_cast<int64_t>(at[0]) != cl::CL_QUEUE_PROPERTIES) {
      return Fail(call, cl::CL_INVALID_VALUE);
    }
    flags = at[1];
  }
  if (Queue* queue = NewQueue(call, flags)) queue->properties = ListOf(call.properties);
}

}  // namespace

template <>
void Run(cl::ClCreateCommandQueueCall& call) {
  NewQueue(call, call.properties);
}
template <>
void Run(cl::ClCreateCommandQueueWithPropertiesCall& call) {
  NewQueueFromList(call);
}
template <>
void Run(cl::ClCreateCommandQueueWithPropertiesKHRCall& call) {
  NewQueueFromList(call);
}

template <>
void Run(cl::ClGetCommandQueueInfoCall& call) {
  auto* queue = Live<Queue>(call.command_queue);
  if (!queue) return Fail(call, cl::CL_INVALID_COMMAND_QUEUE);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_QUEUE_CONTEXT:
      return answer.Handle(queue->context.get());
    case cl::CL_QUEUE_DEVICE:
      return answer.Handle(TheDevice());
    case cl::CL_QUEUE_REFERENCE_COUNT:
      return answer.References(*queue);
    case cl::CL_QUEUE_PROPERTIES:
      return answer.Long(queue->flags);
    case cl::CL_QUEUE_PROPERTIES_ARRAY:
      return answer.List(queue->properties);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClSetCommandQueuePropertyCall& call) {
  auto* queue = Live<Queue>(call.command_queue);
  if (!queue) return Fail(call, cl::CL_INVALID_COMMAND_QUEUE);
  if (call.properties & ~kQueueFlags) return Fail(call, cl::CL_INVALID_QUEUE_PROPERTIES);
  if (call.old_properties) *call.old_properties = queue->flags;
  queue->flags = call.enable ? queue->flags | call.properties : queue->flags & ~call.properties;
}

template <>
void Run(cl::ClSetDefaultDeviceCommandQueueCall& call) {
  Fail(call, Live<Context>(call.context) ? cl::CL_INVALID_OPERATION : cl::CL_INVALID_CONTEXT);
}

template <>
void Run(cl::ClFlushCall& call) {
  if (!Live<Queue>(call.command_queue)) Fail(call, cl::CL_INVALID_COMMAND_QUEUE);
}

template <>
void Run(cl::ClFinishCall& call) {
  auto* queue = Live<Queue>(call.command_queue);
  if (!queue) return Fail(call, cl::CL_INVALID_COMMAND_QUEUE);
  const Ref keep(queue);
  Card::Instance().Drain(queue->stream);
}

template <>
void Run(cl::ClEnqueueMarkerCall& call) {
  if (!call.event) return Fail(call, cl::CL_INVALID_VALUE);
  call.result = Enqueue(call.command_queue, 0, nullptr, call.event, {cl::CL_COMMAND_MARKER});
}
template <>
void Run(cl::ClEnqueueBarrierCall& call) {
  call.result = Enqueue(call.command_queue, 0, nullptr, nullptr, {cl::CL_COMMAND_BARRIER});
}
template <>
void Run(cl::ClEnqueueWaitForEventsCall& call) {
  if (call.num_events == 0 || !call.event_list) return Fail(call, cl::CL_INVALID_VALUE);
  call.result = Enqueue(call.command_queue, call.num_events, call.event_list, nullptr,
                        {cl::CL_COMMAND_BARRIER});
}
template <>
void Run(cl::ClEnqueueMarkerWithWaitListCall& call) {
  EnqueueCall(call, {cl::CL_COMMAND_MARKER});
}
template <>
void Run(cl::ClEnqueueBarrierWithWaitListCall& call) {
  EnqueueCall(call, {cl::CL_COMMAND_BARRIER});
}

template <>
void Run(cl::ClCreateUserEventCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  auto* event = Make<Event>();
  event->context = Ref(context);
  event->command = cl::CL_COMMAND_USER;
  event->task = Card::Instance().NewManual();
  Give(call, event);
}

template <>
void Run(cl::ClSetUserEventStatusCall& call) {
  auto* event = Live<Event>(call.event);
  if (!event || event->command != cl::CL_COMMAND_USER) return Fail(call, cl::CL_INVALID_EVENT);
  if (call.execution_status > 0) return Fail(call, cl::CL_INVALID_VALUE);
  if (!Card::Instance().Complete(event->task, call.execution_status)) {
    Fail(call, cl::CL_INVALID_OPERATION);
  }
}

template <>
void Run(cl::ClWaitForEventsCall& call) {
  if (call.num_events == 0 || !call.event_list) return Fail(call, cl::CL_INVALID_VALUE);
  std::vector<Ref<Event>> events;
  for (cl::cl_uint i = 0; i < call.num_events; ++i) {
    auto* event = Live<Event>(call.event_list[i]);
    if (!event) return Fail(call, cl::CL_INVALID_EVENT);
    events.emplace_back(event);
  }
  for (const Ref<Event>& event : events) {
    if (Card::Instance().Wait(event->task) != 0) {
      Fail(call, cl::CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    }
  }
}

template <>
void Run(cl::ClSetEventCallbackCall& call) {
  auto* event = Live<Event>(call.event);
  if (!event) return Fail(call, cl::CL_INVALID_EVENT);
  const cl::cl_int kind = call.command_exec_callback_type;
  if (!call.pfn_notify || kind < cl::CL_COMPLETE || kind > cl::CL_SUBMITTED) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  Card::Instance().WhenDone(event->task, [notify = call.pfn_notify, data = call.user_data,
                                          keep = Ref(event), kind](int64_t code) {
    notify(HandleOf<cl::cl_event>(keep.get()), code < 0 ? static_cast<cl::cl_int>(code) : kind,
           data);
  });
}

template <>
void Run(cl::ClGetEventInfoCall& call) {
  auto* event = Live<Event>(call.event);
  if (!event) return Fail(call, cl::CL_INVALID_EVENT);
  Answer answer(call);
  const Task task = Card::Instance().Look(event->task);
  int64_t status = cl::CL_QUEUED;
  if (task.manual) status = cl::CL_SUBMITTED;
  if (task.state == Task::State::kRunning) status = cl::CL_RUNNING;
  if (task.state == Task::State::kDone) status = task.code < 0 ? task.code : cl::CL_COMPLETE;
  switch (int64_t{call.param_name}) {
    case cl::CL_EVENT_COMMAND_QUEUE:
      return answer.Handle(event->queue.get());
    case cl::CL_EVENT_CONTEXT:
      return answer.Handle(event->context.get());
    case cl::CL_EVENT_COMMAND_TYPE:
      return answer.Uint(static_cast<uint64_t>(event->command));
    case cl::CL_EVENT_REFERENCE_COUNT:
      return answer.References(*event);
    case cl::CL_EVENT_COMMAND_EXECUTION_STATUS:
      return answer.Is(static_cast<cl::cl_int>(status));
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetEventProfilingInfoCall& call) {
  auto* event = Live<Event>(call.event);
  if (!event) return Fail(call, cl::CL_INVALID_EVENT);
  const Task task = Card::Instance().Look(event->task);
  const bool profiled =
      event->queue && (event->queue->flags & static_cast<uint64_t>(cl::CL_QUEUE_PROFILING_ENABLE));
  if (!profiled || task.state != Task::State::kDone || task.code < 0) {
    return Fail(call, cl::CL_PROFILING_INFO_NOT_AVAILABLE);
  }
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_PROFILING_COMMAND_QUEUED:
    case cl::CL_PROFILING_COMMAND_SUBMIT:
      return answer.Long(static_cast<uint64_t>(task.queued_at));
    case cl::CL_PROFILING_COMMAND_START:
      return answer.Long(static_cast<uint64_t>(task.started_at));
    case cl::CL_PROFILING_COMMAND_END:
    case cl::CL_PROFILING_COMMAND_COMPLETE:
      return answer.Long(static_cast<uint64_t>(task.ended_at));
    default:
      return answer.Unknown();
  }
}

}  // namespace flexai::fake
