// What objects of the driver hold, by their addresses and handles, with the driver's own rounding:
// linear memory, arrays, external memory, and physical allocations with all that keeps them alive.
// Knows no call; the ledger gets what the return values say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace flexai::backend::cuda {

/// The driver hands out memory in blocks of this size; smaller pieces share blocks.
inline constexpr uint64_t kBlock = uint64_t{2} << 20;
/// Pieces up to this size share blocks, in steps of kPieceStep.
inline constexpr uint64_t kLargestPiece = uint64_t{1} << 20;
inline constexpr uint64_t kPieceStep = 512;

/// `bytes` rounded up to a multiple of `unit`, saturating.
constexpr uint64_t RoundUp(uint64_t bytes, uint64_t unit) {
  const uint64_t most = ~uint64_t{0} / unit * unit;
  return bytes > most ? ~uint64_t{0} : (bytes + unit - 1) / unit * unit;
}

/// Thread: any; takes its own lock.
class Holdings {
 public:
  /// Plans memory of `bytes`: what the process will hold more than before. Undone by Unplan.
  uint64_t Plan(uint64_t bytes);
  /// What it holds less when that is gone.
  uint64_t Unplan(uint64_t bytes);

  /// `object` (an address or a handle) has been made, of `bytes` that were planned.
  void Keep(uint64_t object, uint64_t bytes);
  /// The bytes of `object`, which is forgotten; 0 if it is not known.
  uint64_t Take(uint64_t object);

  /// A physical allocation was made, or one came from another process (`bytes` 0).
  void KeepPhysical(uint64_t handle, uint64_t bytes);
  /// `handle` names what is mapped at `address`, once more.
  void RetainPhysical(uint64_t handle, uint64_t address);
  /// One handle less; the bytes that nothing keeps alive any more.
  uint64_t ReleasePhysical(uint64_t handle);
  /// `handle` is mapped at `address`.
  void Map(uint64_t address, uint64_t size, uint64_t handle);
  /// What lies in the range is unmapped; the bytes that nothing keeps alive any more.
  uint64_t Unmap(uint64_t address, uint64_t size);

 private:
  struct Physical {
    uint64_t bytes;
  };
  struct Handle {
    std::shared_ptr<Physical> physical;
    uint64_t references;
  };
  struct Mapping {
    uint64_t size;
    std::shared_ptr<Physical> physical;
  };
  static uint64_t FreedBy(std::shared_ptr<Physical> last);

  std::mutex mu_;        // guards what follows
  uint64_t pieces_ = 0;  // bytes of pieces that share blocks
  std::unordered_map<uint64_t, uint64_t> objects_;
  std::unordered_map<uint64_t, Handle> handles_;
  std::map<uint64_t, Mapping> mappings_;
};

}  // namespace flexai::backend::cuda
