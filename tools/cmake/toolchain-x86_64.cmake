# In-process libraries for x86_64 Linux with glibc 2.28 or newer. Used by the preset portable-x86_64.
set(FLEXAI_ARCH x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
