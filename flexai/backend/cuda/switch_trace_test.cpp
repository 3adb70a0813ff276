// The trace on a pretend kernel module, which refuses what it is told to and forgives nothing.
#include "flexai/backend/cuda/switch_trace.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "flexai/backend/cuda/prober.h"

namespace flexai::backend::cuda {
namespace {

namespace rm = ::flexai::api::rm;

constexpr uint32_t kClient = 0xc1d00007;
constexpr Nanos kMs = kMillisecond;

struct Kernel {
  std::map<int, std::string> files;
  std::map<uint32_t, uint32_t> objects;  // handle -> class
  std::map<int, uint32_t> mappings;      // file -> memory
  std::set<void*> mapped;
  rm::NV_EVENT_BUFFER_HEADER header = {};
  std::vector<SwitchRecord> ring{SwitchTrace::kRecords};
  int calls = 0;
  int refuse_call = -1;             // the call that gets `refusal`, counted from 0
  uint32_t refusal = 0;             // 0 = the ioctl itself fails
  std::set<uint32_t> refused_cmds;  // control calls that always do
  bool refuse_all_users = false;
  std::string missing_file;
  int refuse_map = -1;
  int maps = 0;
  bool bound = false, all_users = false, enabled = false, cannot_flush = false;
  int flushes = 0, clock_reads = 0;
  uint16_t sequence = 0;
  Nanos now = 100 * kSecond;
  Nanos skew = 7 * kSecond;
  Nanos call_takes = 10 * kMicrosecond;
  uint32_t instance = ~0u;
  uint32_t cards = 1;

  bool Write(uint8_t tag, uint32_t pid, Nanos at) {
    SwitchRecord record = {};
    record.body.tag = tag;
    record.body.pid = pid;
    record.body.seqno = sequence++;
    record.body.timestamp = static_cast<uint64_t>(at + skew);
    const uint32_t next = (header.recordPut + 1) % SwitchTrace::kRecords;
    if (next == header.recordGet) return ++header.recordDropcount, false;
    ring[header.recordPut] = record;
    header.recordPut = next;
    return true;
  }
};
Kernel* g_kernel;

int Open(const char* path) {
  if (path == g_kernel->missing_file) {
    errno = EACCES;
    return -1;
  }
  int fd = 40;
  while (g_kernel->files.count(fd)) ++fd;
  g_kernel->files[fd] = path;
  return fd;
}
int Close(int fd) { return g_kernel->files.erase(fd) == 1 ? 0 : -1; }
Nanos Now() { return g_kernel->now; }

uint32_t OnAlloc(rm::NVOS64_PARAMETERS& call) {
  Kernel& k = *g_kernel;
  const auto* bytes = reinterpret_cast<const void*>(call.pAllocParms);
  const auto parent_is = [&](uint32_t wanted) {
    return call.hRoot == kClient && k.objects.count(call.hObjectParent) &&
           k.objects[call.hObjectParent] == wanted;
  };
  switch (call.hClass) {
    case rm::NV01_ROOT_CLIENT:
      call.hObjectNew = kClient;
      break;
    case rm::NV01_DEVICE_0:
      if (!parent_is(rm::NV01_ROOT_CLIENT)) return rm::NV_ERR_INVALID_ARGUMENT;
      if (k.objects.count(call.hObjectNew)) return rm::NV_ERR_INVALID_ARGUMENT;
      k.instance = static_cast<const rm::NV0080_ALLOC_PARAMETERS*>(bytes)->deviceId;
      if (k.instance >= k.cards) return rm::NV_ERR_INVALID_ARGUMENT;
      break;
    case rm::NV20_SUBDEVICE_0:
      if (!parent_is(rm::NV01_DEVICE_0)) return rm::NV_ERR_INVALID_ARGUMENT;
      break;
    case rm::NV01_MEMORY_DEVICELESS: {
      const auto& memory = *static_cast<const rm::NV_MEMORY_ALLOCATION_PARAMS*>(bytes);
      if (!parent_is(rm::NV01_ROOT_CLIENT) || !(memory.attr2 & 1u << 22)) {
        return rm::NV_ERR_INVALID_ARGUMENT;
      }
      break;
    }
    case rm::NV_EVENT_BUFFER: {
      const auto& buffer = *static_cast<const rm::NV_EVENT_BUFFER_ALLOC_PARAMETERS*>(bytes);
      EXPECT_NE(buffer.hSubDevice, 0u) << "that would crash the kernel";
      if (k.objects[buffer.hSubDevice] != rm::NV20_SUBDEVICE_0 || buffer.recordSize != 32 ||
          buffer.recordCount != SwitchTrace::kRecords) {
        return rm::NV_ERR_INVALID_ARGUMENT;
      }
      break;
    }
    default:
      return rm::NV_ERR_NOT_SUPPORTED;
  }
  k.objects[call.hObjectNew] = call.hClass;
  return rm::NV_OK;
}

uint32_t OnControl(const rm::NVOS54_PARAMETERS& call) {
  Kernel& k = *g_kernel;
  void* const bytes = reinterpret_cast<void*>(call.params);
  if (call.hClient != kClient || !k.objects.count(call.hObject)) return rm::NV_ERR_OBJECT_NOT_FOUND;
  if (k.refused_cmds.count(call.cmd)) return rm::NV_ERR_NOT_SUPPORTED;
  switch (call.cmd) {
    case rm::NV2080_CTRL_CMD_TIMER_GET_TIME:
      ++k.clock_reads;
      k.now += k.call_takes / 2;
      static_cast<rm::NV2080_CTRL_TIMER_GET_TIME_PARAMS*>(bytes)->time_nsec =
          static_cast<uint64_t>(k.now + k.skew);
      k.now += k.call_takes / 2;
      return rm::NV_OK;
    case rm::NV2080_CTRL_CMD_GPU_GET_GID_INFO: {
      auto& name = *static_cast<rm::NV2080_CTRL_GPU_GET_GID_INFO_PARAMS*>(bytes);
      snprintf(reinterpret_cast<char*>(name.data), sizeof(name.data), "GPU-%u", k.instance);
      return rm::NV_OK;
    }
    case rm::NV2080_CTRL_CMD_GR_FECS_BIND_EVTBUF_FOR_UID_V2:
      k.all_users =
          static_cast<rm::NV2080_CTRL_GR_FECS_BIND_EVTBUF_FOR_UID_V2_PARAMS*>(bytes)->bAllUsers;
      if (k.all_users && k.refuse_all_users) return rm::NV_ERR_INSUFFICIENT_PERMISSIONS;
      k.bound = true;
      return rm::NV_OK;
    case rm::NV_EVENT_BUFFER_CTRL_CMD_ENABLE_EVENTS:
      k.enabled = k.bound;
      return rm::NV_OK;
    case rm::NV_EVENT_BUFFER_CTRL_CMD_FLUSH:
      ++k.flushes;
      return rm::NV_OK;
    case rm::NV_EVENT_BUFFER_CTRL_CMD_UPDATE_GET:
      k.header.recordGet =
          static_cast<rm::NV_EVENT_BUFFER_CTRL_CMD_UPDATE_GET_PARAMS*>(bytes)->recordBufferGet;
      k.header.recordDropcount = 0;
      return rm::NV_OK;
    default:
      return rm::NV_ERR_NOT_SUPPORTED;
  }
}

int Ioctl(int fd, unsigned long request, void* argument) {
  Kernel& k = *g_kernel;
  EXPECT_TRUE(k.files.count(fd));
  EXPECT_EQ(_IOC_TYPE(request), rm::NV_IOCTL_MAGIC);
  const int64_t number = _IOC_NR(request);
  const bool refused = k.calls++ == k.refuse_call && number != rm::NV_ESC_RM_FREE;
  if (refused && k.refusal == 0) {
    errno = EINVAL;
    return -1;
  }
  if (number == rm::NV_ESC_RM_ALLOC) {
    auto& call = *static_cast<rm::NVOS64_PARAMETERS*>(argument);
    call.status = refused ? k.refusal : OnAlloc(call);
  } else if (number == rm::NV_ESC_RM_CONTROL) {
    auto& call = *static_cast<rm::NVOS54_PARAMETERS*>(argument);
    call.status = refused ? k.refusal : OnControl(call);
  } else if (number == rm::NV_ESC_RM_MAP_MEMORY) {
    auto& call = *static_cast<rm::nv_ioctl_nvos33_parameters_with_fd*>(argument);
    EXPECT_NE(call.fd, fd) << "a file of its own";
    k.mappings[call.fd] = call.params.hMemory;
    call.params.status = refused ? k.refusal : rm::NV_OK;
  } else if (number == rm::NV_ESC_RM_FREE) {
    const auto& call = *static_cast<rm::NVOS00_PARAMETERS*>(argument);
    EXPECT_EQ(k.objects.erase(call.hObjectOld), 1u);
    if (call.hObjectOld == kClient) {
      EXPECT_EQ(k.mapped.size(), static_cast<size_t>(k.maps)) << "not under the writer's hands";
      k.objects.clear();
    } else {  // what is beneath it goes with it
      std::erase_if(k.objects, [](const auto& o) { return o.second == rm::NV20_SUBDEVICE_0; });
    }
  } else {
    ADD_FAILURE() << "ioctl " << number;
  }
  return 0;
}

// The header is mapped first.
void* Map(size_t length, int fd) {
  Kernel& k = *g_kernel;
  EXPECT_TRUE(k.mappings.count(fd));
  if (k.maps == k.refuse_map) {
    errno = ENOMEM;
    return nullptr;
  }
  EXPECT_EQ(length, k.maps == 0 ? 4096u : k.ring.size() * sizeof(SwitchRecord));
  void* const memory = k.maps == 0 ? static_cast<void*>(&k.header) : k.ring.data();
  ++k.maps;
  k.mapped.insert(memory);
  return memory;
}
void Unmap(void* memory, size_t) { EXPECT_EQ(g_kernel->mapped.erase(memory), 1u); }

constexpr TraceSystem kPretend = {Open, Close, Ioctl, Map, Unmap, Now};

class SwitchTraceTest : public ::testing::Test {
 protected:
  SwitchTraceTest() { g_kernel = &kernel_; }
  ~SwitchTraceTest() override {
    trace_.reset();
    ExpectClean();
  }
  void ExpectClean() {
    EXPECT_TRUE(kernel_.files.empty());
    EXPECT_TRUE(kernel_.mapped.empty());
    EXPECT_TRUE(kernel_.objects.empty());
  }
  Status Start(int minor = 0, const std::string& uuid = "GPU-0") {
    auto trace = SwitchTrace::Open(minor, uuid, kPretend);
    if (!trace.ok()) return trace.status();
    trace_ = std::move(trace).value();
    return Status();
  }
  Nanos Of(uint32_t pid) {
    for (const auto& one : trace_->times().Totals()) {
      if (one.pid == pid) return one.total;
    }
    return -1;
  }

  Kernel kernel_;
  std::unique_ptr<SwitchTrace> trace_;
};

TEST_F(SwitchTraceTest, OpensTheCardAndStartsTheRing) {
  ASSERT_TRUE(Start(3).ok());
  EXPECT_TRUE(kernel_.enabled);
  EXPECT_TRUE(kernel_.all_users);
  EXPECT_EQ(kernel_.instance, 0u);
  const auto& files = kernel_.files;
  EXPECT_EQ(std::count_if(files.begin(), files.end(),
                          [](const auto& f) { return f.second == "/dev/nvidia3"; }),
            1);
}

TEST_F(SwitchTraceTest, FindsTheCardByItsName) {
  kernel_.cards = 4;
  ASSERT_TRUE(Start(0, "GPU-2").ok());
  EXPECT_EQ(kernel_.instance, 2u);
  EXPECT_TRUE(kernel_.enabled);
  trace_.reset();
  kernel_ = Kernel();
  kernel_.cards = 4;
  EXPECT_FALSE(Start(0, "GPU-4").ok());
  ExpectClean();
  kernel_ = Kernel();
  kernel_.cards = 32;
  const Status status = Start(0, "GPU-");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(status.message(), "the trace of context switches: no device is GPU-");
}

TEST_F(SwitchTraceTest, ContentsItselfWithItsOwnUser) {
  kernel_.refuse_all_users = true;
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(kernel_.enabled);
  EXPECT_FALSE(kernel_.all_users);
}

TEST_F(SwitchTraceTest, EveryRefusalIsToldAndNothingStaysOpen) {
  ASSERT_TRUE(Start().ok());
  const int calls = kernel_.calls;
  EXPECT_GE(calls, 11);
  trace_.reset();
  for (const uint32_t refusal : {uint32_t{0}, uint32_t{rm::NV_ERR_INSUFFICIENT_PERMISSIONS},
                                 uint32_t{rm::NV_ERR_NOT_SUPPORTED}, uint32_t{0x51}}) {
    for (int call = 0; call < calls; ++call) {
      kernel_ = Kernel();
      kernel_.refuse_call = call;
      kernel_.refusal = refusal;
      // Binding for all users may be refused, which is asked for two calls before the last.
      const Status status = Start();
      if (kernel_.bound && !kernel_.all_users) {
        EXPECT_TRUE(status.ok());
        trace_.reset();
      } else {
        ASSERT_FALSE(status.ok()) << call;
        EXPECT_NE(status.message().find("the trace of context switches: "), std::string::npos);
        if (refusal == rm::NV_ERR_INSUFFICIENT_PERMISSIONS) {
          EXPECT_EQ(status.code(), Code::kPermissionDenied);
        }
      }
      ExpectClean();
    }
  }
}

TEST_F(SwitchTraceTest, NamesTheStep) {
  kernel_.refused_cmds = {rm::NV2080_CTRL_CMD_GR_FECS_BIND_EVTBUF_FOR_UID_V2};
  const Status status = Start();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_EQ(status.message(),
            "the trace of context switches: binding the ring to the card is refused with status "
            "0x56");
}

TEST_F(SwitchTraceTest, MissingFilesAndMappingsAreTold) {
  for (const char* file : {"/dev/nvidiactl", "/dev/nvidia0"}) {
    kernel_ = Kernel();
    kernel_.missing_file = file;
    const Status status = Start();
    EXPECT_EQ(status.code(), Code::kPermissionDenied);
    EXPECT_NE(status.message().find(file), std::string::npos) << status.ToString();
    ExpectClean();
  }
  for (const int map : {0, 1}) {
    kernel_ = Kernel();
    kernel_.refuse_map = map;
    EXPECT_EQ(Start().code(), Code::kUnavailable);
    ExpectClean();
  }
}

TEST_F(SwitchTraceTest, ClockThatCannotBeReadInTimeIsTold) {
  kernel_.call_takes = kMs;
  EXPECT_EQ(Start().code(), Code::kUnavailable);
}

TEST_F(SwitchTraceTest, ReadsRecordsRoundTheRing) {
  ASSERT_TRUE(Start().ok());
  Nanos spent = 0;
  // Three times round, in pieces that do not divide it.
  for (int i = 0; i < 33; ++i) {
    for (int n = 0; n < 375; ++n) {
      const uint32_t pid = n % 2 == 0 ? 11 : 12;
      ASSERT_TRUE(kernel_.Write(6, pid, kernel_.now));
      ASSERT_TRUE(kernel_.Write(7, pid, kernel_.now + 2 * kMs));
      kernel_.now += 3 * kMs;
      spent += 2 * kMs;
    }
    ASSERT_TRUE(trace_->Poll().ok());
    EXPECT_EQ(kernel_.header.recordGet, kernel_.header.recordPut);
  }
  kernel_.now += 10 * kMs;
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_FALSE(trace_->times().TakeLost());
  EXPECT_EQ(Of(11) + Of(12), spent - 33 * 375 * SwitchTimes::kRanEmpty);
  EXPECT_EQ(trace_->times().horizon(), kernel_.now - 3 * kMs);
}

TEST_F(SwitchTraceTest, ToldOfDroppedRecordsItStartsAnew) {
  ASSERT_TRUE(Start().ok());
  while (kernel_.Write(kernel_.sequence % 2 ? 7 : 6, 11, kernel_.now)) kernel_.now += kMs;
  EXPECT_EQ(kernel_.header.recordDropcount, 1u);
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_EQ(kernel_.header.recordDropcount, 0u);
  EXPECT_TRUE(trace_->times().TakeLost());
  kernel_.now += kSecond;
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_TRUE(trace_->times().TakeLost()) << "who has the card?";
  ASSERT_TRUE(kernel_.Write(6, 11, kernel_.now));
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_TRUE(trace_->times().TakeLost()) << "the gap in the sequence";
  kernel_.now += kMs;
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_FALSE(trace_->times().TakeLost());
}

TEST_F(SwitchTraceTest, WaitsLongerForRecordsThatCannotBeFlushed) {
  kernel_.refused_cmds = {rm::NV_EVENT_BUFFER_CTRL_CMD_FLUSH};
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(kernel_.Write(6, 11, kernel_.now));
  kernel_.now += 900 * kMs;
  ASSERT_TRUE(trace_->Poll().ok());
  EXPECT_EQ(trace_->times().horizon(), kernel_.now - 50 * kMs);
}

TEST_F(SwitchTraceTest, ReadsTheClockEachSecond) {
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(kernel_.clock_reads, 1);
  for (int i = 0; i < 100; ++i) {
    kernel_.now += 25 * kMs;
    ASSERT_TRUE(trace_->Poll().ok());
  }
  EXPECT_EQ(kernel_.clock_reads, 3);
  EXPECT_EQ(kernel_.flushes, 100);
}

TEST_F(SwitchTraceTest, RingThatIsDamagedOrRefusesIsTold) {
  ASSERT_TRUE(Start().ok());
  kernel_.header.recordPut = SwitchTrace::kRecords;
  EXPECT_EQ(trace_->Poll().code(), Code::kDataLoss);
  kernel_.header.recordPut = 1;
  kernel_.refused_cmds = {rm::NV_EVENT_BUFFER_CTRL_CMD_UPDATE_GET};
  EXPECT_EQ(trace_->Poll().code(), Code::kUnimplemented);
}

TEST_F(SwitchTraceTest, ProbeFindsItself) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(kernel_.Write(6, 11, kernel_.now));
  ASSERT_TRUE(kernel_.Write(7, 11, kernel_.now + 2 * kMs));
  kernel_.now += 50 * kMs;
  const Nanos since = MonotonicNow() - kSecond;
  const auto own = AskRecord(*trace_, 11, since, 0);
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->lever, device::kRecordLever);
  EXPECT_TRUE(own->holds) << own->found;
}

TEST_F(SwitchTraceTest, RecordThatDoesNotKnowTheProbeDoesNotHold) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(kernel_.Write(6, 12, kernel_.now));
  ASSERT_TRUE(kernel_.Write(7, 12, kernel_.now + 2 * kMs));
  kernel_.now += 50 * kMs;
  const auto none = AskRecord(*trace_, 11, MonotonicNow() - kSecond, 20 * kMs);
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->holds);
  EXPECT_NE(none->found.find("does not tell"), std::string::npos) << none->found;
}

TEST_F(SwitchTraceTest, RecordOfMoreThanTheTimeThatPassedDoesNotHold) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(kernel_.Write(6, 11, kernel_.now));
  kernel_.now += 3600 * kSecond;
  ASSERT_TRUE(kernel_.Write(7, 11, kernel_.now));
  kernel_.now += 50 * kMs;
  const auto more = AskRecord(*trace_, 11, MonotonicNow() - kSecond, 0);
  ASSERT_TRUE(more.has_value());
  EXPECT_FALSE(more->holds);
  EXPECT_NE(more->found.find("of card time in"), std::string::npos) << more->found;
}

TEST_F(SwitchTraceTest, RecordThatCannotBeReadSaysNothing) {
  ASSERT_TRUE(Start().ok());
  kernel_.header.recordPut = SwitchTrace::kRecords;
  EXPECT_FALSE(AskRecord(*trace_, 11, MonotonicNow() - kSecond, 0).has_value());
}

}  // namespace
}  // namespace flexai::backend::cuda
