#include "flexai/slice/ledger.h"

#include <sched.h>

#include <algorithm>

namespace flexai::slice {
namespace {
// How often a refusal that only rests on other processes' open claims is tried again.
constexpr int kTries = 64;
}  // namespace

// Two processes that ask at once each publish their claim first and sum up afterwards, so at least
// one of them sees the other's: together they can never pass the limit.
[[gnu::hot]] bool Ledger::TryClaim(uint64_t bytes, bool* only_claims_in_the_way) {
  // Looked at before the sum, so that what is booked in between is not taken for summed.
  if (near_.load(std::memory_order_relaxed)) {
    stale_.store(IsStale(*region_), std::memory_order_relaxed);
  }
  slot_->claim.store(bytes, std::memory_order_seq_cst);
  uint64_t granted = 0;
  uint64_t claimed = 0;
  const uint32_t slots = region_->header.slots_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < slots && i < kMaxProcesses; ++i) {
    // Claim before used: a claim that turns into use in between is counted twice, never missed.
    claimed += region_->slots[i].claim.load(std::memory_order_seq_cst);
    granted += HeldBytes(region_->slots[i]);
  }
  const uint64_t limit = region_->header.memory_limit.load(std::memory_order_relaxed);
  const bool fits = granted <= limit && claimed <= limit - granted;
  if (fits) {
    CountGranted(bytes);
    slot_->used.fetch_add(bytes, std::memory_order_seq_cst);
    near_.store(limit - granted < kNear + bytes, std::memory_order_relaxed);
    std::atomic<uint64_t>& peak = region_->header.memory_peak;
    uint64_t seen = peak.load(std::memory_order_relaxed);
    while (seen < granted + bytes && !peak.compare_exchange_weak(seen, granted + bytes)) {
    }
  }
  slot_->claim.store(0, std::memory_order_seq_cst);
  *only_claims_in_the_way = granted <= limit && bytes <= limit - granted;
  return fits;
}

[[gnu::hot]] Status Ledger::Reserve(uint64_t bytes) {
  SettleAdvance();
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t limit = region_->header.memory_limit.load(std::memory_order_relaxed);
  if (bytes <= limit) {
    bool worth_trying = true;
    for (int i = 0; i < kTries && worth_trying; ++i) {
      if (TryClaim(bytes, &worth_trying)) return Status();
      sched_yield();
    }
  }
  slot_->refused.fetch_add(1, std::memory_order_relaxed);
  return Status(Code::kResourceExhausted, "past the memory limit of the slice");
}

void Ledger::Book(uint64_t bytes) {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  CountGranted(bytes);
  slot_->used.fetch_add(bytes, std::memory_order_seq_cst);
}

void Ledger::CountUnseen(int64_t bytes) {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  slot_->unseen.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_seq_cst);
}

void Ledger::Advance(uint64_t bytes) {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t booked = slot_->booked.load(std::memory_order_relaxed);
  const uint64_t before = advanced_.load(std::memory_order_relaxed)
                              ? std::max(booked, slot_->advance.load(std::memory_order_relaxed))
                              : booked;
  // Counted twice for a moment, never not at all.
  slot_->advance.store(before + bytes, std::memory_order_seq_cst);
  const uint64_t used = slot_->used.load(std::memory_order_relaxed);
  slot_->used.store(used > bytes ? used - bytes : 0, std::memory_order_seq_cst);
  // A comparison that is under way may have been made before.
  settle_at_ = slot_->measures.load(std::memory_order_relaxed) + 2;
  advanced_.store(true, std::memory_order_release);
}

void Ledger::TookUnforeseen() {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  slot_->unforeseen.fetch_add(1, std::memory_order_relaxed);
}

void Ledger::Retreat(uint64_t bytes) {
  if (abandoned_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  if (!advanced_.load(std::memory_order_relaxed)) return;
  const uint64_t advance = slot_->advance.load(std::memory_order_relaxed);
  slot_->advance.store(advance > bytes ? advance - bytes : 0, std::memory_order_seq_cst);
}

void Ledger::SettleAdvance() {
  if (!advanced_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  const auto behind =
      static_cast<int32_t>(slot_->measures.load(std::memory_order_acquire) - settle_at_);
  if (!advanced_.load(std::memory_order_relaxed) || behind < 0) return;
  slot_->advance.store(0, std::memory_order_seq_cst);
  advanced_.store(false, std::memory_order_relaxed);
}

[[gnu::hot]] void Ledger::Release(uint64_t bytes) {
  // Before the lock, which another thread of the parent may have held at the fork.
  if (abandoned_.load(std::memory_order_relaxed)) return;
  std::lock_guard<std::mutex> lock(mu_);
  const uint64_t used = slot_->used.load(std::memory_order_relaxed);
  slot_->used.store(used > bytes ? used - bytes : 0, std::memory_order_seq_cst);
}

uint64_t Ledger::free_bytes() const {
  const uint64_t total = limit();
  const uint64_t taken = used();
  return taken < total ? total - taken : 0;
}

}  // namespace flexai::slice
