// What a library in a tenant's process and the daemon say to each other when they meet, and the
// frame around everything on the daemon's socket. docs/formats/region.md describes the bytes.
#pragma once

#include <cstdint>
#include <string>

#include "flexai/base/status.h"
#include "flexai/model/slice_spec.h"

namespace flexai::slice {

inline constexpr uint32_t kFrameMagic = 0x41584c46;  // "FLXA"
inline constexpr uint16_t kProtocolVersion = 2;

enum class FrameType : uint16_t {
  kRequest = 1,   // JSON, from people's tools
  kReply = 2,     // JSON
  kAttach = 3,    // AttachRequest; with the region's fd when a tenant meets a daemon's successor
  kAttached = 4,  // AttachReply; with the region's fd when the tenant had none
};

struct FrameHeader {
  uint32_t magic = kFrameMagic;
  uint16_t version = kProtocolVersion;
  uint16_t type = 0;
  uint32_t length = 0;
};

/// Longest payload that is read. Units: bytes.
inline constexpr uint32_t kMaxFrame = 4u << 20;

struct AttachRequest {
  char slice[32];  // id, as FLEXAI_SLICE gives it
  int32_t share;   // what `flexai run` was granted: a successor daemon starts from it
  int32_t limit;
  uint64_t memory;
  uint32_t priority;
  int32_t leader_pid;
  uint32_t region_version;
  int32_t slot;    // the slot held so far, -1 = none; then the region's fd comes along
  uint64_t owner;  // the number in that slot
  int32_t cards;   // of the slice
  int32_t part;    // which of them is meant, from 0; each has a region of its own
};

struct AttachReply {
  int32_t code;  // flexai::Code
  int32_t slot;
  uint64_t owner;
  char message[240];
  char hint[240];
};

/// What FLEXAI_SLICE says: "id:share:limit:memory:priority:leader:cards".
/// Errors: kInvalidArgument (not of that form).
Result<AttachRequest> ReadSliceVariable(const char* text);
/// How many cards it says that the slice has; 1 where it is not of that form, which attaching
/// tells.
int CardsOfSlice(const char* text);
std::string WriteSliceVariable(const std::string& id, const model::SliceSpec& spec, int leader_pid);

/// A connected socket to the daemon at `address`: a path, or "@name" for an abstract name. Without
/// `wait`, a daemon whose queue of newcomers is full counts as not there.
/// Errors: kUnavailable (nobody there); kPermissionDenied (it belongs to another user than us or
/// root, so what it says cannot be believed).
Result<int> ConnectDaemon(const std::string& address, bool wait = true);

/// What the environment says about where the daemon is. A program may change its environment while
/// a thread of ours looks for the daemon, which getenv does not survive: read it before that.
struct DaemonEnvironment {
  std::string socket;
  std::string runtime_folder;
};
DaemonEnvironment ReadDaemonEnvironment();

/// The addresses where a daemon may be, best first; FLEXAI_SOCKET alone if it is set.
/// Shape: at most 3.
int DaemonAddresses(const DaemonEnvironment& environment, std::string out[3]);

/// Where a daemon of this user listens when no other place is given.
std::string UserDaemonAddress(const DaemonEnvironment& environment);

/// Sends one frame, with `fd` if it is not negative. Errors: kUnavailable (peer gone).
Status SendFrame(int socket, FrameType type, const void* data, uint32_t size, int fd = -1);

struct Frame {
  FrameType type = FrameType::kRequest;
  std::string data;
  int fd = -1;  // passed along; the reader owns it
};

/// Waits for one frame, up to `timeout_ms` (-1 = for ever).
/// Errors: kUnavailable (peer gone, or too slow); kFailedPrecondition (another protocol);
/// kDataLoss (not a frame).
Result<Frame> ReceiveFrame(int socket, int timeout_ms);

}  // namespace flexai::slice
