// The chassis of OpenCL and the ways into it. One copy of this state lives in each of our two
// libraries.
#pragma once

#include "flexai/intercept/chassis.h"
#include "opencl/real.h"

namespace flexai::backend::opencl {

namespace api = ::flexai::api::opencl;

extern constinit intercept::SizedChassis<api::kFunctionCount> g_chassis;

/// Adds the stages; runs once, at the first call (start.cpp).
void Start(intercept::Chassis& chassis);

/// The functions behind us, for calls of our own: those of a loader if one came in, which serve
/// objects of every driver, else those of the wrapped driver. Members are null where it has none,
/// all of them before a door is open. From a thread of the driver or of our own, hold an
/// `intercept::OwnCalls` around calls. Thread: any; one atomic load.
const api::Real& Real();

/// A door number, and whether it was free; when all are taken, the last outer door is shared, which
/// is right for every function that is given an object.
int TakeDoor(intercept::DoorLevel level, bool* fresh);

/// Opens `door` in front of `real`.
void OpenDoor(int door, intercept::DoorLevel level, const api::Real& real);

/// Our entry of every function at `door`, by index.
void* const* EntriesAt(int door);

/// What a look-up at `door` (by the function `asked_of`) that found `found` for `name` hands to the
/// application.
void* LookUp(int door, const char* asked_of, const char* name, void* found);

/// Our own look-up functions at `door`: they put LookUp behind the driver's.
void* LookUpEntry(int door);
void* LookUpForPlatformEntry(int door);

}  // namespace flexai::backend::opencl
