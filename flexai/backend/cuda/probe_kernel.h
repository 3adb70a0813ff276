// The tiny kernel on which levers are tried: one thread that counts in memory of the host, which
// the host reads meanwhile, until it is told to end or has run for long.
#pragma once

#include <cstdint>

namespace flexai::backend::cuda {

/// What kernel and host share. Each word has a line of its own.
struct ProbeWords {
  alignas(64) uint64_t count;  // the kernel's
  alignas(64) uint64_t end;    // the host's: 1 = enough
};

/// Its parameters: the address of ProbeWords, and the longest that it runs. Units: ns.
inline constexpr char kProbeKernelName[] = "flexai_probe_count";

inline constexpr char kProbeKernel[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry flexai_probe_count(.param .u64 words, .param .u64 longest)
{
  .reg .pred %p<3>;
  .reg .b64 %d<8>;
  ld.param.u64 %d1, [words];
  ld.param.u64 %d2, [longest];
  mov.u64 %d3, %globaltimer;
  add.u64 %d2, %d2, %d3;
  mov.u64 %d4, 0;
LOOP:
  add.u64 %d4, %d4, 1;
  st.volatile.global.u64 [%d1], %d4;
  ld.volatile.global.u64 %d5, [%d1+64];
  mov.u64 %d6, %globaltimer;
  setp.eq.u64 %p1, %d5, 0;
  setp.lt.and.u64 %p2, %d6, %d2, %p1;
  @%p2 bra LOOP;
  ret;
}
)";

}  // namespace flexai::backend::cuda
