# What the portable toolchains share: zig's clang as a cross compiler against glibc 2.28, with its own static libc++.
# Expects FLEXAI_ARCH. zig comes from `tools/bootstrap test` (build/venv) or from -DFLEXAI_ZIG=/path/to/zig.
# The compiler is a small script with clang in its name, because ccache takes zig's second word for a source file.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${FLEXAI_ARCH})

get_filename_component(zig_root ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(zig_found ${FLEXAI_ZIG})
if(NOT zig_found)
  file(GLOB zig_found ${zig_root}/build/venv/lib/python3*/site-packages/ziglang/zig)
endif()
if(NOT zig_found)
  message(FATAL_ERROR "the cross compiler is missing: run tools/bootstrap test, or name it by -DFLEXAI_ZIG=/path/to/zig")
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FLEXAI_ZIG)

set(zig_bin ${zig_root}/build/zig/${FLEXAI_ARCH})
# zig traps on undefined behaviour unless told not to; users' processes must not die of a check they did not ask for.
set(zig_head "#!/bin/sh\nexport ZIG_GLOBAL_CACHE_DIR='${zig_root}/build/zig/cache'\nexec '${zig_found}'")
set(zig_cc "-target ${FLEXAI_ARCH}-linux-gnu.2.28 -fno-sanitize=undefined \"$@\"\n")
file(CONFIGURE OUTPUT ${zig_bin}/clang CONTENT "${zig_head} cc ${zig_cc}" @ONLY)
file(CONFIGURE OUTPUT ${zig_bin}/clang++ CONTENT "${zig_head} c++ ${zig_cc}" @ONLY)
file(CONFIGURE OUTPUT ${zig_bin}/ar CONTENT "${zig_head} ar \"$@\"\n" @ONLY)
file(CONFIGURE OUTPUT ${zig_bin}/ranlib CONTENT "${zig_head} ranlib \"$@\"\n" @ONLY)
foreach(tool clang clang++ ar ranlib)
  file(CHMOD ${zig_bin}/${tool} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endforeach()

set(CMAKE_C_COMPILER ${zig_bin}/clang)
set(CMAKE_CXX_COMPILER ${zig_bin}/clang++)
set(CMAKE_AR ${zig_bin}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${zig_bin}/ranlib CACHE FILEPATH "")
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
