// How much memory a call asks for, where its parameters say so only together with the driver.
#pragma once

#include <cstdint>
#include <vector>

#include "flexai/backend/cuda/exported.h"
#include "flexai/intercept/call.h"

namespace flexai::backend::cuda {

/// Bytes of the rows that cuMemAllocPitch asks for; after the call, with the pitch that it chose.
uint64_t PitchedBytes(intercept::Call& call, bool after);

/// Bytes of the array, or array with mip levels, that the call would make: what the driver says of
/// one that it does not back with memory. 0 where the memory comes from elsewhere.
uint64_t ArrayBytes(intercept::Call& call);

/// The card on which `props`, of memory or of a pool, place what is made from them; -1: the host.
int LocationIn(const void* props);

/// Whether they place it in the host's memory.
bool IsOnHost(const void* props);

/// Bytes of a cuMemCreate on a card; 0 for memory of the host.
uint64_t PhysicalBytes(intercept::Call& call);

/// What a call maps into an array, or binds to a multicast object: handles of physical memory, or
/// an address where some is mapped.
std::vector<uint64_t> ObjectsHeld(const intercept::Call& call);

/// Bytes that cuImportExternalMemory brings in.
uint64_t ExternalBytes(intercept::Call& call);

/// Free bytes of the current context's card, which others use, too: enough to tell whether to ask
/// what this process holds. 0: the driver does not say.
uint64_t FreeOnCard();
/// Whether a block or more was taken since then; or given back, as by a neighbour, which would hide
/// what was taken.
bool FreeOnCardChanged(uint64_t before);

/// The calling thread's context; 0 without one.
uint64_t CurrentContext();

/// The card of the calling thread's context; -1 without one.
int CurrentDevice();

/// The default stream of the calling thread alone, as a handle.
inline constexpr uintptr_t kThreadStream = 2;
/// Whether that is a stream of the calling thread's context, not an object of its own.
inline bool IsDefaultStream(api::CUstream stream) {
  return reinterpret_cast<uintptr_t>(stream) <= kThreadStream;
}

/// The card of a context; -1 where the driver does not know it.
int DeviceOfContext(uint64_t context);

/// The card that a stream is on, whichever context is current; -1 where the driver does not say.
/// Not for one that is captured from: the question ends the capture.
int DeviceOfStream(api::CUstream stream);

/// Whether `stream` is being captured: what is put into it takes no memory now.
bool IsCapturing(api::CUstream stream);

/// While it lives, a context is current on this thread, if it converts to true; none is where
/// `context` is 0.
class InContext {
 public:
  explicit InContext(uint64_t context);
  ~InContext();
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;

  explicit operator bool() const { return pushed_; }

 private:
  bool pushed_ = false;
};

/// While it lives, the driver accepts calls of ours that would spoil another thread's capture.
class CaptureSafe {
 public:
  CaptureSafe();
  ~CaptureSafe();
  CaptureSafe(const CaptureSafe&) = delete;
  CaptureSafe& operator=(const CaptureSafe&) = delete;

 private:
  api::CUstreamCaptureMode mode_ = 2;  // CU_STREAM_CAPTURE_MODE_RELAXED
  bool exchanged_ = false;
};

}  // namespace flexai::backend::cuda
