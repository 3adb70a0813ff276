#include "flexai/backend/cuda/switch_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace flexai::backend::cuda {
namespace {

namespace rm = ::flexai::api::rm;

constexpr size_t kHeaderBytes = 4096;
constexpr size_t kRecordBytes = SwitchTrace::kRecords * sizeof(SwitchRecord);
// How old a record may be when it shows up: at most 2.6 and 44 ms were seen.
constexpr Nanos kLateFlushed = 3 * kMillisecond;
constexpr Nanos kLate = 50 * kMillisecond;
// The clocks drift apart by some microseconds a second.
constexpr Nanos kClockPeriod = kSecond;
// A reading of the card's clock that took longer says nothing.
constexpr Nanos kClockTakes = 200 * kMicrosecond;
constexpr int kClockTries = 5;
// NVOS32_ATTR_COHERENCY_CACHED, NVOS32_ATTR2_PROTECTION_USER_READ_ONLY,
// NVOS33_FLAGS_ACCESS_READ_ONLY
constexpr uint32_t kCached = 1u << 29;
constexpr uint32_t kReadOnly = 1u << 22;
constexpr uint32_t kMapReadOnly = 1;
// Starts and ends alone; nothing filtered out; when full, what is there stays.
constexpr uint32_t kSimple = 1;
constexpr uint32_t kAllEvents = ~0u;
constexpr uint32_t kKeepOldest = 1;

constexpr uint32_t kMostCards = 32;
// Names that we give to objects of our client.
constexpr uint32_t kDevice = 0xd0000001;
constexpr uint32_t kSubdevice = 0xd0000002;
constexpr uint32_t kHeader = 0xd0000003;
constexpr uint32_t kRing = 0xd0000004;
constexpr uint32_t kBuffer = 0xd0000005;

constexpr char kControlFile[] = "/dev/nvidiactl";

Status Refused(const char* step, uint32_t status) {
  Code code = Code::kUnavailable;
  if (status == rm::NV_ERR_INSUFFICIENT_PERMISSIONS) code = Code::kPermissionDenied;
  if (status == rm::NV_ERR_NOT_SUPPORTED || status == rm::NV_ERR_OBJECT_NOT_FOUND ||
      status == rm::NV_ERR_INVALID_ARGUMENT) {
    code = Code::kUnimplemented;
  }
  char text[160];
  snprintf(text, sizeof(text), "the trace of context switches: %s is refused with status 0x%x",
           step, status);
  return Status(code, text);
}

Status Failed(const char* step) {
  const Code code =
      errno == EACCES || errno == EPERM ? Code::kPermissionDenied : Code::kUnavailable;
  return ErrnoStatus(code, std::string("the trace of context switches: ") + step + " fails");
}

template <class T>
constexpr unsigned long Request(int64_t number) {
  return _IOC(_IOC_READ | _IOC_WRITE, rm::NV_IOCTL_MAGIC, number, sizeof(T));
}

template <class T>
uint64_t Address(T* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

int RealOpen(const char* path) { return open(path, O_RDWR | O_CLOEXEC); }
int RealIoctl(int fd, unsigned long request, void* argument) {
  return ioctl(fd, request, argument);
}
void* RealMap(size_t length, int fd) {
  void* const memory = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}
void RealUnmap(void* memory, size_t length) { munmap(memory, length); }

}  // namespace

bool SeesHostPids() {
  char name[64] = {};
  const ssize_t length = readlink("/proc/self/ns/pid", name, sizeof(name) - 1);
  return length > 0 && std::string_view(name) == "pid:[4026531836]";  // PROC_PID_INIT_INO
}

const TraceSystem& TraceSystem::Real() {
  static constexpr TraceSystem kReal = {RealOpen, ::close,   RealIoctl,
                                        RealMap,  RealUnmap, MonotonicNow};
  return kReal;
}

Result<std::unique_ptr<SwitchTrace>> SwitchTrace::Open(int minor, const std::string& uuid,
                                                       const TraceSystem& system) {
  std::unique_ptr<SwitchTrace> trace(new SwitchTrace(system));
  const Status started = trace->Start(minor, uuid);
  if (!started.ok()) return started;
  return trace;
}

SwitchTrace::~SwitchTrace() {
  // The ring first: nobody may write what is about to be unmapped.
  if (client_ != 0) Free(0, client_);
  const auto unmap = [&](const volatile void* memory, size_t length) {
    if (memory) system_.unmap(const_cast<void*>(memory), length);
  };
  unmap(header_, kHeaderBytes);
  unmap(records_, kRecordBytes);
  for (const int fd : fds_) system_.close(fd);
}

Status SwitchTrace::Start(int minor, const std::string& uuid) {
  int card_fd = -1;  // as long as it is open, the kernel module keeps the card ready
  FLEXAI_RETURN_IF_ERROR(OpenFile(kControlFile, &control_fd_));
  FLEXAI_RETURN_IF_ERROR(OpenFile("/dev/nvidia" + std::to_string(minor), &card_fd));
  FLEXAI_RETURN_IF_ERROR(Alloc(0, 0, rm::NV01_ROOT_CLIENT, nullptr, 0, "a client"));
  FLEXAI_RETURN_IF_ERROR(MakeDevice(uuid));
  FLEXAI_RETURN_IF_ERROR(ReadClock());
  if (clock_read_ == 0) {
    return Status(Code::kUnavailable,
                  "the trace of context switches: reading the card's clock takes too long");
  }
  FLEXAI_RETURN_IF_ERROR(MakeBuffer());
  FLEXAI_RETURN_IF_ERROR(Bind());
  get_ = header_->recordGet % kRecords;
  return Status();
}

// The kernel module numbers cards in the order in which they were first used, which nothing tells:
// so each is asked for its name.
Status SwitchTrace::MakeDevice(const std::string& uuid) {
  Status failed;
  for (uint32_t instance = 0; instance < kMostCards; ++instance) {
    rm::NV0080_ALLOC_PARAMETERS device = {};
    device.deviceId = instance;
    const Status made =
        Alloc(client_, kDevice, rm::NV01_DEVICE_0, &device, sizeof(device), "the device");
    if (!made.ok()) {
      if (failed.ok()) failed = made;
      continue;
    }
    uint32_t subdevice = 0;
    FLEXAI_RETURN_IF_ERROR(Alloc(kDevice, kSubdevice, rm::NV20_SUBDEVICE_0, &subdevice,
                                 sizeof(subdevice), "the subdevice"));
    const Result<bool> found = IsCard(uuid);
    if (!found.ok()) return found.status();
    if (*found) return Status();
    Free(client_, kDevice);
  }
  if (!failed.ok()) return failed;
  return Status(Code::kUnavailable, "the trace of context switches: no device is " + uuid);
}

Result<bool> SwitchTrace::IsCard(const std::string& uuid) {
  rm::NV2080_CTRL_GPU_GET_GID_INFO_PARAMS name = {};
  FLEXAI_RETURN_IF_ERROR(Control(kSubdevice, rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO, &name,
                                 sizeof(name), "asking for the card's name"));
  const char* const text = reinterpret_cast<const char*>(name.data);
  return uuid == std::string_view(text, strnlen(text, sizeof(name.data)));
}

void SwitchTrace::Free(uint32_t parent, uint32_t object) {
  rm::NVOS00_PARAMETERS call = {client_, parent, object, 0};
  system_.ioctl(control_fd_, Request<decltype(call)>(rm::NV_ESC_RM_FREE), &call);
}

Status SwitchTrace::OpenFile(const std::string& path, int* fd) {
  *fd = system_.open(path.c_str());
  if (*fd < 0) return Failed(("opening " + path).c_str());
  fds_.push_back(*fd);
  return Status();
}

Status SwitchTrace::Alloc(uint32_t parent, uint32_t handle, uint32_t object_class, void* parameters,
                          uint32_t size, const char* step) {
  rm::NVOS64_PARAMETERS call = {};
  call.hRoot = client_;
  call.hObjectParent = parent;
  call.hObjectNew = handle;
  call.hClass = object_class;
  call.pAllocParms = Address(parameters);
  call.paramsSize = size;
  if (system_.ioctl(control_fd_, Request<decltype(call)>(rm::NV_ESC_RM_ALLOC), &call) != 0) {
    return Failed(step);
  }
  if (call.status != rm::NV_OK) return Refused(step, call.status);
  if (object_class == rm::NV01_ROOT_CLIENT) client_ = call.hObjectNew;
  return Status();
}

Status SwitchTrace::Control(uint32_t object, uint32_t command, void* parameters, uint32_t size,
                            const char* step) {
  rm::NVOS54_PARAMETERS call = {};
  call.hClient = client_;
  call.hObject = object;
  call.cmd = command;
  call.params = Address(parameters);
  call.paramsSize = size;
  if (system_.ioctl(control_fd_, Request<decltype(call)>(rm::NV_ESC_RM_CONTROL), &call) != 0) {
    return Failed(step);
  }
  return call.status == rm::NV_OK ? Status() : Refused(step, call.status);
}

// Memory that the kernel module writes and we read. Its mapping is asked for on a file of its own,
// which is then mapped.
Status SwitchTrace::Shared(uint32_t handle, size_t length, void** memory, const char* step) {
  rm::NV_MEMORY_ALLOCATION_PARAMS wanted = {};
  wanted.attr = kCached;
  wanted.attr2 = kReadOnly;
  wanted.size = length;
  FLEXAI_RETURN_IF_ERROR(
      Alloc(client_, handle, rm::NV01_MEMORY_DEVICELESS, &wanted, sizeof(wanted), step));
  rm::nv_ioctl_nvos33_parameters_with_fd map = {};
  FLEXAI_RETURN_IF_ERROR(OpenFile(kControlFile, &map.fd));
  map.params.hClient = client_;
  map.params.hDevice = client_;
  map.params.hMemory = handle;
  map.params.length = length;
  map.params.flags = kMapReadOnly;
  if (system_.ioctl(control_fd_, Request<decltype(map)>(rm::NV_ESC_RM_MAP_MEMORY), &map) != 0) {
    return Failed(step);
  }
  if (map.params.status != rm::NV_OK) return Refused(step, map.params.status);
  *memory = system_.map(length, map.fd);
  return *memory ? Status() : Failed(step);
}

Status SwitchTrace::MakeBuffer() {
  void* memory = nullptr;
  FLEXAI_RETURN_IF_ERROR(Shared(kHeader, kHeaderBytes, &memory, "memory of the ring's header"));
  header_ = static_cast<const rm::NV_EVENT_BUFFER_HEADER*>(memory);
  memory = nullptr;
  FLEXAI_RETURN_IF_ERROR(Shared(kRing, kRecordBytes, &memory, "memory of the ring"));
  records_ = static_cast<const SwitchRecord*>(memory);
  rm::NV_EVENT_BUFFER_ALLOC_PARAMETERS buffer = {};
  buffer.recordSize = sizeof(SwitchRecord);
  buffer.recordCount = kRecords;
  // Never without: the kernel module follows it unchecked.
  buffer.hSubDevice = kSubdevice;
  buffer.hBufferHeader = kHeader;
  buffer.hRecordBuffer = kRing;
  return Alloc(client_, kBuffer, rm::NV_EVENT_BUFFER, &buffer, sizeof(buffer), "the ring");
}

Status SwitchTrace::Bind() {
  Status bound;
  for (const bool all_users : {true, false}) {
    rm::NV2080_CTRL_GR_FECS_BIND_EVTBUF_FOR_UID_V2_PARAMS bind = {};
    bind.hEventBuffer = kBuffer;
    bind.recordSize = sizeof(SwitchRecord);
    bind.levelOfDetail = kSimple;
    bind.eventFilter = kAllEvents;
    bind.bAllUsers = all_users;
    bound = Control(kSubdevice, rm::NV2080_CTRL_CMD_GR_FECS_BIND_EVTBUF_FOR_UID_V2, &bind,
                    sizeof(bind), "binding the ring to the card");
    if (bound.ok()) break;
  }
  FLEXAI_RETURN_IF_ERROR(bound);
  rm::NV_EVENT_BUFFER_CTRL_CMD_ENABLE_EVENTS_PARAMS enable = {1, kKeepOldest};
  return Control(kBuffer, rm::NV_EVENT_BUFFER_CTRL_CMD_ENABLE_EVENTS, &enable, sizeof(enable),
                 "starting the ring");
}

Status SwitchTrace::ReadClock() {
  for (int i = 0; i < kClockTries; ++i) {
    rm::NV2080_CTRL_TIMER_GET_TIME_PARAMS clock = {};
    const Nanos before = system_.now();
    FLEXAI_RETURN_IF_ERROR(Control(kSubdevice, rm::NV2080_CTRL_CMD_TIMER_GET_TIME, &clock,
                                   sizeof(clock), "reading the card's clock"));
    const Nanos after = system_.now();
    if (after - before > kClockTakes) continue;
    times_.SetSkew(static_cast<Nanos>(clock.time_nsec) - (before + after) / 2);
    clock_read_ = after;
    return Status();
  }
  return Status();
}

Status SwitchTrace::Poll() {
  const Nanos now = system_.now();
  if (now - clock_read_ >= kClockPeriod) FLEXAI_RETURN_IF_ERROR(ReadClock());
  // Without it the kernel module looks at the card's own ring some thirty times a second.
  flushes_ = flushes_ && Control(kBuffer, rm::NV_EVENT_BUFFER_CTRL_CMD_FLUSH, nullptr, 0,
                                 "emptying the card's own ring")
                             .ok();
  // Before the records are, which another processor writes.
  const uint32_t put = __atomic_load_n(&header_->recordPut, __ATOMIC_ACQUIRE);
  const bool dropped = header_->recordDropcount != 0;
  if (put >= kRecords) return Status(Code::kDataLoss, "the trace of context switches is damaged");
  const bool any = put != get_;
  ReadRing(put);
  // What did not find room came after all that is there.
  if (dropped) times_.Lose();
  times_.Advance(now - (flushes_ ? kLateFlushed : kLate));
  if (!any && !dropped) return Status();
  // This takes the count of dropped records back to 0.
  rm::NV_EVENT_BUFFER_CTRL_CMD_UPDATE_GET_PARAMS update = {get_, 0};
  return Control(kBuffer, rm::NV_EVENT_BUFFER_CTRL_CMD_UPDATE_GET, &update, sizeof(update),
                 "freeing what was read");
}

void SwitchTrace::ReadRing(uint32_t put) {
  for (; get_ != put; get_ = (get_ + 1) % kRecords) {
    SwitchRecord record;
    memcpy(&record, const_cast<const SwitchRecord*>(&records_[get_]), sizeof(record));
    times_.Add(record);
  }
}

}  // namespace flexai::backend::cuda
