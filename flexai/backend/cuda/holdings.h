// What objects of the driver hold, by their addresses and handles, with the driver's own rounding
// (it hands out memory in blocks, which small pieces share; an address tells which block): linear
// memory, arrays, external memory, and physical allocations with all that keeps them alive. Knows
// no call; the ledger gets what the return values say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace flexai::backend::cuda {

/// The driver hands out memory in blocks of this size and alignment; smaller pieces share blocks.
inline constexpr uint64_t kBlock = uint64_t{2} << 20;
inline constexpr uint64_t kMost = uint64_t{1} << 62;  // more than any card has
/// Pieces up to this size share blocks, in steps of kPieceStep.
inline constexpr uint64_t kLargestPiece = uint64_t{1} << 20;
inline constexpr uint64_t kPieceStep = 512;

/// `bytes` rounded up to a multiple of `unit`, saturating.
constexpr uint64_t RoundUp(uint64_t bytes, uint64_t unit) {
  const uint64_t most = ~uint64_t{0} / unit * unit;
  return bytes > most ? ~uint64_t{0} : (bytes + unit - 1) / unit * unit;
}

/// What an object held when it was taken out of the books.
struct Taken {
  uint64_t object = 0;
  uint64_t bytes = 0;   // as asked for
  uint64_t freed = 0;   // what the process holds less
  uint64_t unseen = 0;  // of `bytes`: what the driver's figures of processes leave out
  bool at_address = false;
  uint64_t context = 0;
};

/// Physical memory that nothing of this process's known handles and mappings keeps alive any more.
struct Let {
  uint64_t freed = 0;
  bool shared = false;    // a handle went out, or came in: of some the driver alone knows the end
  uint64_t exported = 0;  // of `shared`: what may live on by another handle, here or elsewhere
};

/// One handle less of a physical allocation.
struct Released {
  uint64_t handle = 0;  // 0: it is not known
  uint64_t bytes = 0;   // of the allocation, as it was made
  bool exported = false;
  const void* physical = nullptr;  // which one it is, if it still is
  Let let;
};

/// Thread: any; takes its own lock.
class Holdings {
 public:
  /// Plans an object without an address, such as an array, of `bytes`: what the process will hold
  /// more than before. Undone by Unplan.
  uint64_t Plan(uint64_t bytes);
  /// What it holds less when that is gone.
  uint64_t Unplan(uint64_t bytes);
  /// The planned object has been made in `context`, with which it goes.
  void Keep(uint64_t object, uint64_t bytes, uint64_t context);

  /// Memory of `bytes` at `address` has been made: what the process holds more than before, in
  /// blocks. `managed` memory moves between host and card, and belongs to no process in the
  /// driver's figures.
  uint64_t KeepRange(uint64_t address, uint64_t bytes, bool managed, uint64_t context);

  /// Whether an object, a handle, or what is mapped at an address is in the books.
  bool Has(uint64_t object);

  /// What an object was made with; 0 if it is not known.
  uint64_t BytesOf(uint64_t object);

  /// Forgets an object; `object` is 0 in the answer if it is not known.
  Taken Take(uint64_t object);
  /// Forgets all objects of a context that is gone; the sums of what they held, object 0.
  Taken TakeContext(uint64_t context);
  /// It is there after all.
  void PutBack(const Taken& taken);

  /// A physical allocation was made, or one came from another process (`bytes` 0).
  void KeepPhysical(uint64_t handle, uint64_t bytes);
  /// `handle` names what is mapped at `address`, once more.
  void RetainPhysical(uint64_t handle, uint64_t address);
  /// `object`, a handle or an address where one is mapped, was made known outside of the driver, or
  /// is kept alive by something that is not in the books.
  void Export(uint64_t object);
  /// One handle less.
  Released ReleasePhysical(uint64_t handle);
  /// It is there after all.
  void PutBackPhysical(const Released& released);
  /// `handle` is mapped at `address`.
  void Map(uint64_t address, uint64_t size, uint64_t handle);
  /// What lies in the range is unmapped.
  Let Unmap(uint64_t address, uint64_t size);

 private:
  struct Physical {
    uint64_t bytes;  // 0: it came from elsewhere
    bool exported = false;
  };
  struct Handle {
    std::shared_ptr<Physical> physical;
    uint64_t references;
  };
  struct Mapping {
    uint64_t size;
    std::shared_ptr<Physical> physical;
  };
  static void AddLast(const std::shared_ptr<Physical>& last, Let* let);

  struct Object {
    uint64_t bytes;
    bool at_address;
    bool managed;
    uint64_t context;
  };
  Taken TakeLocked(uint64_t object, const Object& known);
  uint64_t KeepRangeLocked(uint64_t address, const Object& object);
  uint64_t UnplanLocked(uint64_t bytes);

  std::mutex mu_;        // guards what follows
  uint64_t pieces_ = 0;  // bytes of objects without address that share blocks
  std::unordered_map<uint64_t, Object> objects_;
  std::unordered_map<uint64_t, uint32_t> blocks_;  // that may be shared, by number: objects in it
  std::unordered_map<uint64_t, Handle> handles_;
  std::map<uint64_t, Mapping> mappings_;
};

}  // namespace flexai::backend::cuda
