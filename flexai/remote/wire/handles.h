// How the two sides of a wire name the same object. On the wire every handle is a number of 64
// bits; 0 is "no object" on both sides and is never asked for.
#pragma once

#include <cstdint>

namespace flexai::remote::wire {

/// A side's own table of objects. `kind` is the library's enum HandleKind.
/// Thread: as its implementation says; one call's codec asks from one thread.
class Handles {
 public:
  virtual ~Handles() = default;

  /// The number on the wire of an object of this side; false if it is none that may travel.
  virtual bool ToWire(uint8_t kind, uint64_t native, uint64_t* wire) = 0;
  /// The object of this side that the number names; false if there is none.
  virtual bool FromWire(uint8_t kind, uint64_t wire, uint64_t* native) = 0;
  /// A call has made `native`, which the other side named `wire` before it asked.
  /// False refuses a name that is taken or not the other side's to give.
  virtual bool Bind(uint8_t kind, uint64_t wire, uint64_t native) = 0;
};

}  // namespace flexai::remote::wire
