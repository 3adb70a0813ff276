# In-process libraries for arm64 Linux with glibc 2.28 or newer. Used by the preset portable-arm64.
set(FLEXAI_ARCH aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
