// What slicing needs to know about the driver's calls: which bytes each takes, when they are given
// back, and how the driver's answers show the slice.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "flexai/backend/cuda/holdings.h"
#include "flexai/backend/cuda/queues.h"
#include "flexai/backend/cuda/reserves.h"
#include "flexai/backend/cuda/thread_memory.h"
#include "flexai/slice/stage.h"

namespace flexai::backend::cuda {

class SliceRules : public slice::Rules {
 public:
  /// `queues` is told of launches and waits.
  SliceRules(slice::Tenant* tenant, slice::QueueWatch* queues);

  bool Asks(intercept::Call& call, uint64_t* bytes) override;
  void Failed(intercept::Call& call) override;
  bool Recover(slice::Ledger& ledger) override;
  uint64_t Held(intercept::Call& call, uint64_t asked) override;
  void Keep(intercept::Call& call, uint64_t bytes, slice::Ledger& ledger) override;
  void Undo(intercept::Call& call) override;
  void Drop(intercept::Call& call, slice::Ledger& ledger) override;
  void Dropped(intercept::Call& call, slice::Ledger& ledger) override;
  void Hold(intercept::Call& call) override;
  bool TookUnmeasured(intercept::Call& call) override;
  void BeforeStart(intercept::Call&) override {}
  void AfterStart(intercept::Call& call) override;
  /// Asks the driver about work that nobody waits for. Thread: one of our own.
  void AskUnwaited() { queues_.AskUnwaited(); }
  bool Launches(intercept::Call& call) override { return queues_.Launches(call); }
  /// See ShortSliceStage.
  bool LaunchesShort(uint16_t index, uint64_t kernel, uint64_t* queue) const {
    return queues_.LaunchesShort(index, kernel, queue);
  }
  void Launched(intercept::Call&) override { queues_.Launched(); }
  bool Watches(const intercept::FnInfo& info) override {
    const Does does = does_[info.index];
    return does == Does::kLoadCode || does == Does::kUnloadCode || does == Does::kCreatePool ||
           does == Does::kGetKernel || queues_.Watches(info);
  }
  void BeforeWatched(intercept::Call& call) override;
  bool AfterWatched(intercept::Call& call) override;
  void Answer(intercept::Call& call, const slice::Ledger& ledger) override;

  /// Whether the call is about an object that these books know.
  bool Owns(intercept::Call& call);
  /// The pool that the call takes from, as it names it; 0: it names none.
  uint64_t PoolNamed(const intercept::Call& call) const;
  /// The context that the call names, or its stream's; 0: it names none.
  uint64_t ContextOf(const intercept::Call& call) const;
  /// The card that a graph which the call makes executable, or gives to an executable one, takes
  /// its memory on; -1: it takes none, or the call is no such call.
  int DeviceOfGraph(const intercept::Call& call) const;
  bool WaitsForEvent(const intercept::FnInfo& info) const { return queues_.WaitsForEvent(info); }

 private:
  /// What a function does to memory; the variants of one function do the same.
  enum class Does : uint8_t {
    kNothing,
    kAllocate,
    kAllocateManaged,
    kAllocatePitch,
    kAllocateFromPool,
    kCreatePool,
    kCreatePhysical,
    kCreateArray,
    kImportExternal,
    kCreateContext,
    kLaunch,
    kLaunchGraph,
    kFree,
    kFreeObject,
    kReleasePhysical,
    kUnmap,
    kDestroyPool,
    kTrimPool,
    kTrimGraphs,
    kDestroyExec,
    kMap,
    kRetain,
    kImport,
    kExport,
    kMapInArray,
    kBind,
    kLoadCode,
    kUnloadCode,
    kGetKernel,
    kSetLimit,
    kLearnGraph,
    kCreateStream,
  };
  static const std::pair<std::string_view, Does> kDoes[];
  static Does Learn(const char* name);
  static std::array<Does, api::kFunctionCount> LearnAll();

  Does DoesOf(const intercept::Call& call) const { return does_[call.info().index]; }
  bool AsksPool(intercept::Call& call, uint64_t* bytes);
  bool AsksGraph(intercept::Call& call, uint64_t* bytes);
  void PoolMade(const intercept::Call& call);
  uint64_t HeldInReserve(const intercept::Call& call, uint64_t asked);
  void KeepInReserve(const intercept::Call& call, uint64_t bytes, slice::Ledger& ledger);
  static void UndoInPool(intercept::Call& call, api::CUdeviceptr_v2 address);
  bool AsksExec(const intercept::Call& call, uint64_t* bytes);
  static uint64_t HeldByExec(uint64_t asked);
  void KeepOfExec(uint64_t bytes, slice::Ledger& ledger);
  uint64_t AsksRoom(const intercept::Call& call);
  uint64_t HeldByGraph(const intercept::Call& call, uint64_t asked);
  void KeepOfGraph(const intercept::Call& call, uint64_t bytes, slice::Ledger& ledger);
  void LearnGraph(intercept::Call& call);
  bool MeasuresNear(uint64_t most);
  static void Measure();
  static bool TookMeasured();
  static bool MayHaveTaken();
  bool AsksContext(const intercept::Call& call, uint64_t* bytes) const;
  bool AsksLaunch(intercept::Call& call, uint64_t* bytes);
  bool AsksLimit(const intercept::Call& call, uint64_t* bytes);
  static uint64_t HeldByLimit(const intercept::Call& call, uint64_t asked);
  void KeepLimit(const intercept::Call& call, uint64_t bytes, slice::Ledger& ledger);
  void LimitSet(const intercept::Call& call);
  static void RestoreLimit(const intercept::Call& call);
  bool SettleHeaps(slice::Ledger& ledger);
  void SettleHeapsNowAndThen(slice::Ledger& ledger);
  void RoomMade(uint64_t bytes, slice::Ledger& ledger);
  void LookAtThreadMemory();
  uint64_t GoneContext(const intercept::Call& call);
  void ContextEnded(const intercept::Call& call, slice::Ledger* ledger);

  slice::Tenant* tenant_;
  std::atomic<bool> ends_with_us_{false};
  Queues queues_;
  std::array<Does, api::kFunctionCount> does_;
  Holdings holdings_;
  Reserves reserves_;
  Graphs graphs_;
  ThreadMemory thread_memory_;
  std::mutex room_mu_;        // what is known of room, and the kernels that are asked about for it
  std::mutex heaps_mu_;       // guards heaps_
  std::set<uint64_t> heaps_;  // contexts whose heaps are in the books, perhaps not in use yet
  std::atomic<bool> has_heaps_{false};
  std::atomic<Nanos> heaps_looked_at_{0};
  std::array<std::atomic<uint64_t>, 64> primary_ = {};  // by device: the context libraries share
};

}  // namespace flexai::backend::cuda
