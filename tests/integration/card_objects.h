// What the test program does on the card, through the card's own interface.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flexai::tests {

enum class ObjectKind { kMemory, kShared, kSharedByExtension, kUnified };

/// Something that holds memory of the card; no handle: it was refused.
struct Object {
  void* handle = nullptr;
  ObjectKind kind = ObjectKind::kMemory;
  int error = 0;  // the interface's own code; 0 where a function only returns nothing
};

/// The functions that allocate, by their names in the table. "NAME:variant" names a further way.
std::vector<const char*> Rows();

/// Asks for exactly `bytes` by the function `row`. Units: bytes, 4 or a power of two up to 64 MiB.
Object Allocate(const std::string& row, size_t bytes);

int Retain(const Object& object);
int Release(const Object& object);
size_t SizeOf(const Object& object);
/// Half of a buffer, as a sub-buffer. An image on a buffer's memory. Neither holds memory itself.
Object PartOf(const Object& buffer);
Object ViewOf(const Object& buffer);
/// Gives shared memory back when the queue gets there, and waits for it.
int FreeInQueue(const Object& object);

struct DeviceMemory {
  size_t total = 0;
  size_t largest = 0;
};
DeviceMemory AskDevice();

struct Contention {
  size_t granted = 0;
  size_t refused = 0;
  size_t most = 0;  // bytes that were surely held at one time
};
/// `threads` threads allocate and release `bytes` at the same time, `rounds` times each.
Contention Contend(size_t threads, size_t rounds, size_t bytes);

/// Allocates `bytes`, launches a kernel on them and releases them again, until it is killed.
[[noreturn]] void Churn(size_t bytes);

/// Launches kernels until `milliseconds` are over; how many came to their end.
size_t Spin(size_t milliseconds);

}  // namespace flexai::tests
