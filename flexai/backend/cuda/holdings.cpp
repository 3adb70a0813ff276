#include "flexai/backend/cuda/holdings.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace flexai::backend::cuda {

namespace {

// Calls `may_share` with each block at the ends of a range that the range does not fill, and
// returns how many it fills: those are no one else's, and no book is kept of them.
template <class F>
uint64_t FilledBlocks(uint64_t address, uint64_t bytes, F may_share) {
  const uint64_t end = address + bytes;
  const uint64_t first = address / kBlock;
  if (end <= first * kBlock) return 0;
  const uint64_t last = (end - 1) / kBlock;
  const bool first_is_shared = address % kBlock != 0 || end < (first + 1) * kBlock;
  const bool last_is_shared = last != first && end % kBlock != 0;
  if (first_is_shared) may_share(first);
  if (last_is_shared) may_share(last);
  return last - first + 1 - first_is_shared - last_is_shared;
}

}  // namespace

uint64_t Holdings::Plan(uint64_t bytes) {
  if (bytes > kLargestPiece) return RoundUp(bytes, kBlock);
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t before = RoundUp(pieces_, kBlock);
  pieces_ += RoundUp(bytes, kPieceStep);
  return RoundUp(pieces_, kBlock) - before;
}

uint64_t Holdings::Unplan(uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mu_);
  return UnplanLocked(bytes);
}

uint64_t Holdings::UnplanLocked(uint64_t bytes) {
  if (bytes > kLargestPiece) return RoundUp(bytes, kBlock);
  const uint64_t before = RoundUp(pieces_, kBlock);
  pieces_ -= std::min(pieces_, RoundUp(bytes, kPieceStep));
  return before - RoundUp(pieces_, kBlock);
}

void Holdings::Keep(uint64_t object, uint64_t bytes, uint64_t context) {
  std::lock_guard<std::mutex> lock(mu_);
  objects_[object] = {bytes, false, false, context};
}

[[gnu::hot]] uint64_t Holdings::KeepRange(uint64_t address, uint64_t bytes, bool managed,
                                          uint64_t context) {
  std::lock_guard<std::mutex> lock(mu_);
  return KeepRangeLocked(address, {bytes, true, managed, context});
}

[[gnu::hot]] uint64_t Holdings::KeepRangeLocked(uint64_t address, const Object& object) {
  objects_[address] = object;
  uint64_t fresh = 0;
  const uint64_t filled = FilledBlocks(address, object.bytes, [&](uint64_t block) {
    if (blocks_[block]++ == 0) fresh += kBlock;
  });
  return fresh + filled * kBlock;
}

bool Holdings::Has(uint64_t object) {
  std::lock_guard<std::mutex> lock(mu_);
  if (objects_.count(object) || handles_.count(object)) return true;
  const auto after = mappings_.upper_bound(object);
  return after != mappings_.begin() &&
         object - std::prev(after)->first < std::prev(after)->second.size;
}

uint64_t Holdings::BytesOf(uint64_t object) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = objects_.find(object);
  return found == objects_.end() ? 0 : found->second.bytes;
}

[[gnu::hot]] Taken Holdings::Take(uint64_t object) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = objects_.find(object);
  if (found == objects_.end()) return {};
  const Object known = found->second;
  objects_.erase(found);
  return TakeLocked(object, known);
}

Taken Holdings::TakeContext(uint64_t context) {
  std::lock_guard<std::mutex> lock(mu_);
  Taken all;
  for (auto at = objects_.begin(); at != objects_.end();) {
    if (at->second.context != context) {
      ++at;
      continue;
    }
    const Taken one = TakeLocked(at->first, at->second);
    all.bytes += one.bytes;
    all.freed += one.freed;
    all.unseen += one.unseen;
    at = objects_.erase(at);
  }
  return all;
}

[[gnu::hot]] Taken Holdings::TakeLocked(uint64_t object, const Object& known) {
  const uint64_t unseen = known.managed ? known.bytes : 0;
  Taken taken = {object, known.bytes, 0, unseen, known.at_address, known.context};
  if (!known.at_address) {
    taken.freed = UnplanLocked(known.bytes);
    return taken;
  }
  const uint64_t filled = FilledBlocks(object, known.bytes, [&](uint64_t block) {
    const auto at = blocks_.find(block);
    if (at == blocks_.end() || --at->second > 0) return;
    blocks_.erase(at);
    taken.freed += kBlock;
  });
  taken.freed += filled * kBlock;
  return taken;
}

void Holdings::PutBack(const Taken& taken) {
  if (taken.object == 0) return;
  std::lock_guard<std::mutex> lock(mu_);
  const Object object = {taken.bytes, taken.at_address, taken.unseen > 0, taken.context};
  if (taken.at_address) {
    KeepRangeLocked(taken.object, object);
    return;
  }
  objects_[taken.object] = object;
  if (taken.bytes <= kLargestPiece) pieces_ += RoundUp(taken.bytes, kPieceStep);
}

void Holdings::AddLast(const std::shared_ptr<Physical>& last, Let* let) {
  if (!last || last.use_count() != 1) return;
  let->shared = let->shared || last->exported || last->bytes == 0;
  (last->exported ? let->exported : let->freed) += last->bytes;
}

void Holdings::KeepPhysical(uint64_t handle, uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = handles_.find(handle);
  if (found != handles_.end() && bytes == 0) {
    ++found->second.references;  // our own came back to us
    return;
  }
  handles_[handle] = {std::make_shared<Physical>(Physical{bytes}), 1};
}

void Holdings::RetainPhysical(uint64_t handle, uint64_t address) {
  std::lock_guard<std::mutex> lock(mu_);
  auto mapping = mappings_.upper_bound(address);
  if (mapping == mappings_.begin()) return;
  --mapping;
  if (address - mapping->first >= mapping->second.size) return;
  Handle& known = handles_[handle];
  if (known.physical != mapping->second.physical) known = {mapping->second.physical, 0};
  ++known.references;
}

void Holdings::Export(uint64_t object) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = handles_.find(object);
  if (found != handles_.end()) {
    found->second.physical->exported = true;
    return;
  }
  const auto after = mappings_.upper_bound(object);
  if (after == mappings_.begin()) return;
  const auto& [address, mapping] = *std::prev(after);
  if (object - address < mapping.size) mapping.physical->exported = true;
}

Released Holdings::ReleasePhysical(uint64_t handle) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = handles_.find(handle);
  if (found == handles_.end()) return {};
  std::shared_ptr<Physical> physical = found->second.physical;
  Released released = {handle, physical->bytes, physical->exported, physical.get(), {}};
  if (--found->second.references > 0) return released;
  handles_.erase(found);
  AddLast(physical, &released.let);
  return released;
}

void Holdings::PutBackPhysical(const Released& released) {
  if (released.handle == 0) return;
  std::lock_guard<std::mutex> lock(mu_);
  Handle& known = handles_[released.handle];
  if (!known.physical) {
    for (const auto& [address, mapping] : mappings_) {
      if (mapping.physical.get() == released.physical) known.physical = mapping.physical;
    }
  }
  if (!known.physical) {
    known.physical = std::make_shared<Physical>(Physical{released.bytes, released.exported});
  }
  ++known.references;
}

void Holdings::Map(uint64_t address, uint64_t size, uint64_t handle) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = handles_.find(handle);
  if (found != handles_.end()) mappings_[address] = {size, found->second.physical};
}

Let Holdings::Unmap(uint64_t address, uint64_t size) {
  std::lock_guard<std::mutex> lock(mu_);
  Let let;
  auto at = mappings_.lower_bound(address);
  while (at != mappings_.end() && at->first - address < size) {
    std::shared_ptr<Physical> physical = std::move(at->second.physical);
    at = mappings_.erase(at);
    AddLast(physical, &let);
  }
  return let;
}

}  // namespace flexai::backend::cuda
