// Which kernels are to be looked at, in a word that every launch can afford to read.
#pragma once

#include <cstdint>

namespace flexai::backend::cuda {

/// Kernels by their handles, and perhaps some others.
struct KernelSet {
  uint64_t bits = 0;

  static constexpr uint64_t kAll = ~uint64_t{0};
  static uint64_t BitOf(uint64_t kernel) {
    return uint64_t{1} << ((kernel * 0x9e3779b97f4a7c15u) >> 58);
  }
  void Add(uint64_t kernel) { bits |= BitOf(kernel); }
  bool MayHave(uint64_t kernel) const { return (bits & BitOf(kernel)) != 0; }
};

}  // namespace flexai::backend::cuda
