// A card as tests drive it, whatever its API: what the conformance suite asks of a fake card, of a
// real one, and of each of them in a slice. Every backend has one implementation of it, against its
// vendor's API as a program would call it; the suite is tests/conformance/suite.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flexai/base/status.h"

namespace flexai::fake {

/// Errors of every function: kResourceExhausted where the API says that the card's memory is spent,
/// kNotFound for a name that is not there, kInvalidArgument for anything else that the caller did
/// wrong, kInternal for the rest; the message holds the API's own code.
/// Thread: any, unless an implementation says otherwise.
class CardUnderTest {
 public:
  using Memory = uint64_t;

  /// One argument of a kernel: memory of the card, or a number.
  struct Argument {
    bool is_memory;
    uint64_t value;
  };
  static Argument Of(Memory memory) { return {true, memory}; }
  static Argument Of(uint32_t number) { return {false, number}; }

  virtual ~CardUnderTest() = default;

  /// As the card says of itself, in bytes.
  virtual uint64_t TotalMemory() = 0;
  virtual uint64_t MostAllocation() = 0;

  virtual Result<Memory> Allocate(uint64_t bytes) = 0;
  virtual Status Free(Memory memory) = 0;

  /// Each is done when it returns, unless `wait` is false; then Finish says when.
  virtual Status Write(Memory to, uint64_t offset, const void* from, uint64_t bytes, bool wait) = 0;
  virtual Status Read(Memory from, uint64_t offset, void* to, uint64_t bytes, bool wait) = 0;
  virtual Status Copy(Memory to, uint64_t to_offset, Memory from, uint64_t from_offset,
                      uint64_t bytes) = 0;
  virtual Status Fill(Memory to, uint32_t word, uint64_t offset, uint64_t bytes) = 0;

  /// Builds the suite's kernels (TestKernels) in the language of the card, or any other source.
  virtual Status Load(const std::string& source) = 0;
  /// The text that Load takes for kernels flexai_fill, flexai_add and flexai_spin.
  virtual std::string TestKernels() const = 0;
  virtual Status Launch(const std::string& kernel, const std::vector<Argument>& arguments,
                        uint64_t items) = 0;
  virtual Status Finish() = 0;
};

/// The card of this process; each backend's adapter defines it once.
/// Errors: kUnavailable (says why there is none; the tests are then skipped).
Result<std::unique_ptr<CardUnderTest>> OpenCardUnderTest();

}  // namespace flexai::fake
